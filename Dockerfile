# The image that runs every process of Headgate, and the load tester made from it.
#   docker build --target headgate -t headgate/headgate:dev .
#   docker build --target loadtester -t headgate/loadtester:dev .
# The load tester has k6 (AGPL-3.0) and ghz (Apache-2.0), which are built with the image GO_IMAGE and Go's modules;
# the target loadtester-lean is the same without them.
# BASE_IMAGE must bring python3 (3.11 or later) with venv. A tag can be moved: for a release give the digest
# that you have looked at, --build-arg BASE_DIGEST=sha256:... PIP_OPTIONS is for machines that install from a
# folder of wheels. `make sbom` lists what is installed. MetricTemplates of the provider cloudwatch need AWS'
# library, 14 MB more: --build-arg LOCK=requirements-cloudwatch.lock.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm
ARG BASE_DIGEST=""
ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm
ARG GO_DIGEST=""

FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS build
ARG PIP_OPTIONS=""
ARG LOCK=requirements.lock
COPY requirements.lock requirements-cloudwatch.lock /src/
RUN python3 -m venv /opt/headgate \
 && /opt/headgate/bin/pip install --no-cache-dir --no-compile ${PIP_OPTIONS} \
      --require-hashes -r /src/${LOCK} \
 && /opt/headgate/bin/pip uninstall -y -q pip setuptools

FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS headgate
# Nothing that installs is left: neither the base image's pip nor what venv would make another one of.
RUN rm -rf /usr/share/python-wheels /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip \
      /usr/bin/pip* /usr/local/bin/pip* \
 && find /usr/lib /usr/local/lib -depth -regextype posix-extended -regex \
      '.*/(site|dist)-packages/(pip|setuptools|wheel|pkg_resources|_distutils_hack|distutils-precedence.pth)(-.*)?' \
      -exec rm -rf {} +
COPY --from=build /opt/headgate /opt/headgate
COPY canary /app/canary
COPY runtime /app/runtime
COPY certs /app/certs
COPY webhook /app/webhook
COPY analyzer /app/analyzer
COPY loadtester /app/loadtester
# The root file system is read-only at run time, so byte code is written here or never.
RUN /opt/headgate/bin/python -m compileall -q /opt/headgate/lib /app
# What is large goes back to the system when it is done with: glibc would keep ever more of it, as lists and answers of
# megabytes are read (mallopt(3): given here, these limits stay as they are; docs/performance.md has what that saves).
ENV PATH=/opt/headgate/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 65532:65532
ENTRYPOINT []
CMD ["python", "-m", "webhook"]

FROM headgate AS loadtester-lean
USER 0:0
# hey, wrk and curl where the base image has none.
RUN command -v hey >/dev/null && command -v wrk >/dev/null && command -v curl >/dev/null \
 || (apt-get update && apt-get install -y --no-install-recommends hey wrk curl \
     && rm -rf /var/lib/apt/lists/*)
USER 65532:65532
CMD ["python", "-m", "loadtester"]

FROM ${GO_IMAGE}${GO_DIGEST:+@${GO_DIGEST}} AS programs
# The modules are checked against Go's own list of checksums, as they are downloaded.
ARG K6_VERSION=v1.8.1
ARG GHZ_VERSION=v0.93.0
ENV CGO_ENABLED=0 GOBIN=/programs
RUN go install -trimpath -ldflags="-s -w" go.k6.io/k6@${K6_VERSION} \
 && go install -trimpath -ldflags="-s -w" github.com/bojand/ghz/cmd/ghz@${GHZ_VERSION}

FROM loadtester-lean AS loadtester
COPY --from=programs /programs/ /usr/local/bin/
