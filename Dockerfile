# One image for `gateway serve`, `gateway work` and `gateway migrate`; the command line picks which.
FROM python:3.11-slim AS build
RUN python -m pip install --no-cache-dir --disable-pip-version-check uv
WORKDIR /build
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN UV_PROJECT_ENVIRONMENT=/opt/gateway UV_LINK_MODE=copy uv sync --quiet --frozen --no-dev --no-install-project --python python3.11
COPY gateway gateway
COPY compat compat
COPY migrations migrations
RUN UV_PROJECT_ENVIRONMENT=/opt/gateway UV_LINK_MODE=copy uv sync --quiet --frozen --no-dev --no-editable --python python3.11

FROM python:3.11-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 GATEWAY_BIND=0.0.0.0:8000 GATEWAY_LOG_FORMAT=json
USER gateway
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['GATEWAY_BIND'].rpartition(':')[2] + '/health/live', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
