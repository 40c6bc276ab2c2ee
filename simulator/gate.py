"""What every request passes before anything of it is read, whichever route it asks for."""

from fastapi import Request
from fastapi.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.access import refuse_foreign_names, refuse_other_sites
from simulator.body_limit import LimitedBody, limit_of, refuse_announced
from simulator.errors import http_error


class Gate:
    """
    No stranger's name, no other site's page and no endless body gets past it.

    Only to the page itself may a link from elsewhere lead.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            try:
                refuse_foreign_names(request)
                if not _is_link_to_page(request):
                    refuse_other_sites(request)
                limit = limit_of(request.scope["path"])
                refuse_announced(request.headers.get("Content-Length"), limit)
            except HTTPException as error:
                await http_error(request, error)(scope, receive, send)
                return
            receive = LimitedBody(receive, limit).receive
        await self._app(scope, receive, send)


def _is_link_to_page(request: Request) -> bool:
    return request.method in {"GET", "HEAD"} and request.scope["path"] == "/"
