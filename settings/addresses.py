"""Where a server is, as it may be shown: never with a user's name, a password or an option."""

from urllib.parse import urlsplit


def server_of(url: str, default_port: int) -> str:
    """`host:port` of an address, or the path of a socket file."""
    try:
        address = urlsplit(url)
        host, port = address.hostname or "127.0.0.1", address.port or default_port
    except ValueError:
        return "an address that cannot be read"
    if address.scheme == "unix":
        return address.path
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
