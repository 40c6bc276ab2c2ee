"""The application itself is asked, past what a server's parser would refuse, and in a tenth of the time."""

from starlette.types import ASGIApp, Message, Scope

from tests.webhook.posts import Post


async def ask(door: ASGIApp, post: Post) -> int:
    """The status of the answer."""
    headers = [(name.encode(), value.encode()) for name, value in post.headers.items()]
    return await ask_as_it_comes(door, post.path, post.query.encode(), headers, post.body)


async def ask_as_it_comes(door: ASGIApp, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    sent: list[Message] = []
    scope: Scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query, "headers": headers,
        "root_path": "", "scheme": "http", "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await door(scope, receive, send)
    code = sent[0]["status"]
    assert isinstance(code, int)
    return code
