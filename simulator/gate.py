"""What every request passes before anything of it is read, whichever route it asks for."""

from fastapi import Request
from fastapi.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.access import refuse_foreign_names, refuse_other_sites
from simulator.errors import http_error


class Gate:
    """No stranger's name and no other site's page gets past it; only to the page itself a link from elsewhere may lead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            try:
                refuse_foreign_names(request)
                if not _is_link_to_page(request):
                    refuse_other_sites(request)
            except HTTPException as error:
                await http_error(request, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_link_to_page(request: Request) -> bool:
    return request.method in {"GET", "HEAD"} and request.scope["path"] == "/"
