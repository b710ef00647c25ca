# One image for `gateway serve`, `gateway work` and `gateway migrate`; the command line picks which.
FROM python:3.11-slim AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/gateway UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
RUN python -m pip install --quiet --no-cache-dir --disable-pip-version-check uv
WORKDIR /build
COPY pyproject.toml uv.lock ./
RUN uv sync --quiet --frozen --no-dev --no-install-project --python python3
COPY README.md LICENSE ./
COPY gateway gateway
COPY compat compat
COPY migrations migrations
RUN uv sync --quiet --frozen --no-dev --no-editable --python python3

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 GATEWAY_BIND=0.0.0.0:8000 GATEWAY_LOG_FORMAT=json
USER 10001
WORKDIR /tmp
EXPOSE 8000
ENTRYPOINT ["gateway"]
CMD ["serve"]
