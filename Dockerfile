# One image for every part of the service: `r2rise serve`, `r2rise worker`, `dask scheduler`.

FROM python:3.11-slim-bookworm AS build
RUN python -m venv /opt/r2rise
ENV PATH=/opt/r2rise/bin:$PATH
WORKDIR /source
# torch first: it is most of the image, and changes least
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt \
    --index-url https://download.pytorch.org/whl/cpu torch
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY r2rise r2rise
COPY service service
COPY envs envs
COPY examples examples
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && pip install --no-cache-dir --constraint constraints.txt \
    "$(echo /wheels/r2rise-*.whl)[all]"

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp r2rise \
    && install --directory --mode 700 --owner r2rise --group r2rise /data /cache
COPY --from=build /opt/r2rise /opt/r2rise
# /cache keeps compiled loops: without a volume there, every container compiles them anew
ENV PATH=/opt/r2rise/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/cache/numba \
    R2RISE_CACHE=/cache/demonstrations \
    R2RISE_DATA=/data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/api/v1/readyz', timeout=8)"]
ENTRYPOINT ["r2rise"]
CMD ["serve", "--host", "0.0.0.0"]
