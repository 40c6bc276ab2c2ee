"""Media of a message: behind basic auth at the API, which redirects to a CDN that wants none."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from simulator.access import require_credentials, require_own_account
from simulator.errors import not_found
from simulator.ledger import Kind
from simulator.messages import API_VERSION, Media, media_resource
from simulator.messages_api import Known, Running

router = APIRouter(
    prefix=f"/{API_VERSION}/Accounts/{{account_sid}}/Messages/{{sid}}",
    dependencies=[Depends(require_credentials), Depends(require_own_account)],
)
cdn = APIRouter(prefix="/cdn")

HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
"""It shares its address with the phone page: what a contact sent may not run there, whatever it says it is."""


def media_of(media_sid: str, message: Known, request: Request) -> Media:
    for media in message.media:
        if media.sid == media_sid:
            return media
    raise not_found(request.url.path)


KnownMedia = Annotated[Media, Depends(media_of)]


@router.get("/Media.json")
async def list_media(message: Known, request: Request, simulation: Running) -> JSONResponse:
    path = request.url.path
    resources = [media_resource(media, message, simulation.settings.account_sid) for media in message.media]
    return JSONResponse(
        {
            "end": max(len(resources) - 1, 0),
            "first_page_uri": path,
            "media_list": resources,
            "next_page_uri": None,
            "page": 0,
            "page_size": 50,
            "previous_page_uri": None,
            "start": 0,
            "uri": path,
        }
    )


@router.get("/Media/{media_sid}.json")
async def fetch_media(media: KnownMedia, message: Known, simulation: Running) -> JSONResponse:
    return JSONResponse(media_resource(media, message, simulation.settings.account_sid))


@router.delete("/Media/{media_sid}.json")
async def delete_media(media: KnownMedia, message: Known, simulation: Running) -> Response:
    simulation.account.media.delete(media.sid)
    simulation.account.record(Kind.MEDIA_DELETED, message.sid, media_sid=media.sid)
    return Response(status_code=204)


@router.get("/Media/{media_sid}")
async def redirect_to_media(media: KnownMedia, message: Known, request: Request, simulation: Running) -> Response:
    host = simulation.settings.cdn_url or str(request.base_url).rstrip("/")
    return RedirectResponse(media.url or f"{host}/cdn/{message.sid}/{media.sid}", 302)


@cdn.get("/{sid}/{media_sid}")
async def download_media(media: KnownMedia, request: Request, simulation: Running) -> Response:
    """Like the real one, it refuses credentials: a client that follows the redirect with them would give them away."""
    if "Authorization" in request.headers:
        return Response("Only one auth mechanism allowed", 400, media_type="text/plain")
    content = simulation.account.media.get(media.sid)
    if content is None:
        raise not_found(request.url.path)
    if is_shown(media.content_type):
        return Response(content, media_type=media.content_type, headers=HARMLESS)
    return Response(content, media_type="application/octet-stream", headers={**HARMLESS, "Content-Disposition": "attachment"})


def is_shown(content_type: str) -> bool:
    """The page may load scripts from this address, so nothing else of a contact's has a type here that could be one."""
    kind = content_type.lower()
    return kind.startswith(("image/", "audio/")) and not kind.startswith("image/svg")
