# The backend under gunicorn: `docker build -t segmenter .`; see docker-compose.yml for how to run it.
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim

# PyTorch without CUDA, from its own index; TORCH=cuda is the ordinary index's, of gigabytes.
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# pip's own settings, for a mirror or a folder of wheels.
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app

# Exactly what the locks list, each file with its SHA-256. What changes seldom comes first: torch is most of the image.
COPY locks/pip.txt locks/torch-cpu.txt locks/torch-cuda.txt locks/
RUN pip install --require-hashes -r locks/pip.txt
RUN [ "$TORCH" = cpu ] && pip install --require-hashes --no-deps --retries 1 --index-url "$TORCH_INDEX" -r locks/torch-cpu.txt || \
    { echo "PyTorch with CUDA, from the ordinary index"; pip install --require-hashes --no-deps -r locks/torch-cuda.txt; }
COPY locks/serve.txt locks/
RUN pip install --require-hashes --no-deps --only-binary :all: -r locks/serve.txt

RUN useradd --uid 1000 --user-group --no-create-home --home-dir /data segmenter && install -d -o 1000 -g 1000 /data
COPY gunicorn.conf.py _wsgi.py model.py ./
COPY segmenter segmenter
COPY backend backend
RUN python -m compileall -q .

# The models, the training queue and nothing else are written: the rest of the file system may be read-only.
ENV MODEL_DIR=/data HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
USER 1000:1000
EXPOSE 9090
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-c", "\
import http.client, os, sys; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 9090), timeout=5); \
server.request('GET', '/health'); \
sys.exit(server.getresponse().status != 200)"]

# Not through a shell, so that gunicorn itself gets the signal to stop.
CMD ["gunicorn", "-c", "gunicorn.conf.py", "_wsgi:app"]
