# Prosa in one image: the webhook, the handlers, the clock and the migrations are its commands. `--target simulator` adds what the
# stand-in for Twilio needs. Everything is installed from lock files with hashes, into /venv and nowhere else.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /build && python -m venv --without-pip /venv
COPY docker/build.lock docker/runtime.lock docker/
RUN /build/bin/pip install --require-hashes -r docker/build.lock \
 && /build/bin/pip --python /venv/bin/python install --require-hashes -r docker/runtime.lock
COPY . .
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /build/bin/pip --python /venv/bin/python install --no-deps --no-index dist/*.whl

FROM build AS build-simulator
RUN /build/bin/pip --python /venv/bin/python install --require-hashes -r docker/simulator.lock

FROM ${PYTHON_IMAGE} AS bare
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /prosa
EXPOSE 8000 9100
CMD ["uvicorn", "webhook:app", "--host", "0.0.0.0", "--port", "8000"]

FROM bare AS simulator
LABEL org.opencontainers.image.title="Prosa's simulator" org.opencontainers.image.licenses="MIT"
COPY --from=build-simulator /venv /venv
RUN install --directory --owner 10001 --group 10001 /var/lib/prosa
USER 10001:10001
CMD ["prosa", "simulator", "--host", "0.0.0.0"]

FROM bare AS runtime
ARG VERSION= REVISION=
LABEL org.opencontainers.image.title="Prosa" \
      org.opencontainers.image.description="Answers WhatsApp conversations with AI from an event log" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /venv /venv
USER 10001:10001
