"""What every answer of the page says to the browser, and the mark by which the page's own requests are known."""

from fastapi import Request
from starlette.exceptions import HTTPException

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def require_this_page(request: Request) -> None:
    """A header that no form can send; for another site's script the browser would ask first, and is not answered."""
    if request.headers.get("X-Requested-With") != "phone":
        raise HTTPException(403, "only the phone page may do this")
