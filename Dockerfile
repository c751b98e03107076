# syntax=docker/dockerfile:1
# tkbench with every extra. The CPU build of torch, or a CUDA build by its name:
#   docker build -t tkbench .
#   docker build -t tkbench:cuda --build-arg TORCH=cu126 .
#   docker run --rm -v "$PWD:/data" tkbench tkbench doctor
FROM python:3.12-slim

ARG TORCH=cpu
ENV PYTHONUNBUFFERED=1 TKBENCH_WEIGHTS=/weights TKBENCH_CACHE=/cache

RUN pip install --no-cache-dir "uv>=0.8"
# mediapipe and face-alignment ask for OpenCV wheels that draw windows, which need libGL. The headless wheel is the same
# module without them.
RUN printf '%s\n' "opencv-python ; python_version < '3'" "opencv-contrib-python ; python_version < '3'" > /overrides.txt
COPY . /src
RUN uv pip install --system --no-cache --compile-bytecode --torch-backend "$TORCH" --override /overrides.txt \
        "/src[all]" opencv-python-headless \
    && rm -rf /src \
    && mkdir /weights /cache && chmod 777 /weights /cache

# As a worker of a cluster is started by `dask worker`, the command is not fixed to tkbench.
WORKDIR /data
CMD ["tkbench", "--help"]
