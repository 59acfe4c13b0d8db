# dserver with this plugin and gunicorn; docker-compose.yml says what for. With INDEX=sql, what can be
# searched is in dserver's SQL database, and with INDEX=mongo in MongoDB.
ARG INDEX=sql

FROM python:3.13.16-slim-bookworm@sha256:a1165e272e578941b84abc79e4ab38a0305cd12803a5c4247979ac7655f4d641 AS wheels
ARG INDEX
WORKDIR /source
COPY docker/requirements-build.txt docker/requirements-${INDEX}.txt ./
# Packages without a wheel are built with what is pinned here, too.
RUN pip install --no-cache-dir --require-hashes --requirement requirements-build.txt \
    && pip wheel --no-cache-dir --no-build-isolation --wheel-dir /wheels \
        --require-hashes --requirement "requirements-${INDEX}.txt"
COPY pyproject.toml README.rst LICENSE ./
COPY dserver_signed_url_plugin dserver_signed_url_plugin
COPY index index
RUN pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels . \
    && if [ "$INDEX" = sql ]; then \
        pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels ./index; \
    fi

FROM python:3.13.16-slim-bookworm@sha256:a1165e272e578941b84abc79e4ab38a0305cd12803a5c4247979ac7655f4d641 AS environment
COPY --from=wheels /wheels /wheels
RUN python -m venv /opt/dserver \
    && /opt/dserver/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
    && /opt/dserver/bin/pip check

FROM python:3.13.16-slim-bookworm@sha256:a1165e272e578941b84abc79e4ab38a0305cd12803a5c4247979ac7655f4d641
# A volume is mounted at /keys: a new one gets the owner and mode of this directory.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin dserver \
    && install --directory --owner=dserver --group=dserver --mode=0700 /keys
COPY --from=environment /opt/dserver /opt/dserver
COPY docker/entrypoint.sh docker/gunicorn.conf.py docker/make_keys.py docker/cleanup_schedule.py \
    docker/store_setup.py \
    /opt/dserver/docker/
ENV PATH=/opt/dserver/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FLASK_APP="dservercore:create_app()"
# Any user may enter it: files that are shared may be readable by their owner only.
WORKDIR /opt/dserver
USER 10001:10001
EXPOSE 5000
ENTRYPOINT ["/opt/dserver/docker/entrypoint.sh"]
CMD ["serve"]
