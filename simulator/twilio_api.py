"""The stand-in as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from simulator import account_api, control_api, listing_api, media_api, messages_api, typing_api
from simulator.errors import RestError, http_error
from simulator.gate import Gate
from simulator.model import api as model_api
from simulator.phone import page
from simulator.phone.beside import Beside
from simulator.phone.desk import Desk
from simulator.request_model import refused
from simulator.settings import SimulatorSettings
from simulator.simulation import started


def create_app(settings: SimulatorSettings, beside: Beside | None = None) -> FastAPI:
    """
    The API, a model, the control plane, and the phone page with what stands `beside` the phones.

    Nothing is opened before the application starts up. It needs uvicorn: breaking a connection is beyond ASGI.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.simulation = started(settings)
        app.state.desk = Desk(app.state.simulation, beside)
        try:
            yield
        finally:
            await app.state.simulation.close()
            if beside is not None:
                await beside.close()

    app = FastAPI(title="Twilio stand-in", lifespan=lifespan, openapi_url=None)
    app.add_middleware(Gate)
    app.add_exception_handler(RestError, _refusal)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, _http_error)
    for router in (
        account_api.router,
        messages_api.router,
        listing_api.router,
        media_api.router,
        media_api.cdn,
        typing_api.router,
        control_api.router,
        model_api.router,
    ):
        app.include_router(router)
    page.mount(app)
    return app


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RestError)  # noqa: S101 - registered for nothing else
    return JSONResponse(error.resource(), error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return http_error(request, error)
