# syntax=docker/dockerfile:1
# What it needs, how it is run and what was tried: docs/operations.md.
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements-dev.txt requirements.txt ./
# The tools that build the wheel, by hash. They stay in this stage.
RUN python -m venv /tools \
 && /tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-dev.txt
COPY . .
RUN /tools/bin/uv build --sdist --wheel --no-build-isolation --offline --python /tools/bin/python -q
# The program and what it needs, by hash, and nothing that could install more.
RUN python -m venv /opt/hydrophone \
 && /opt/hydrophone/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
 && /opt/hydrophone/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index dist/*.whl \
 && /opt/hydrophone/bin/python -m pip uninstall --yes --quiet pip \
 && /opt/hydrophone/bin/hydrophone --version

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Hydrophone" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin hydrophone \
 && mkdir -p /app/data \
 && chown hydrophone:hydrophone /app/data
COPY --from=build /opt/hydrophone /opt/hydrophone
COPY --chmod=0755 deploy/entrypoint.sh /usr/local/bin/entrypoint
ENV PATH=/opt/hydrophone/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HYDROPHONE_API__HOST=0.0.0.0 \
    HYDROPHONE_ALERTS__HOST=0.0.0.0 \
    HYDROPHONE_ACCESS__TOKEN_FILE=data/token \
    HYDROPHONE_LOG__FORMAT=json
USER hydrophone
WORKDIR /app
VOLUME ["/app/data"]
EXPOSE 8000 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["entrypoint"]
CMD ["run"]
