# samtune: make help lists what there is to make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build bundle release finetune sweep compare zeroshot evaluate repro doctor test test-pure test-cuda test-gotorch test-slurm test-bundle test-docs torture bench bench-scale docs lint check vuln fuzz clean

CUDA_TESTS := ./internal/tensor ./model ./train
GO_ENV := . .samtune/env.sh
# The linker finds gotorch's C++ half by LIBRARY_PATH, which is no flag: gotch need not be compiled again for it.
GOTORCH_ENV = $(GO_ENV) && shim=$$(python3 scripts/gotorch.py) && export LIBRARY_PATH="$$shim$${LIBRARY_PATH:+:$$LIBRARY_PATH}"
VERSION := 0.1.0$(addprefix +,$(shell git rev-parse --short HEAD 2>/dev/null))
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
COMMON = $(if $(OUT),--out '$(OUT)') $(if $(DATA),--data '$(DATA)') $(if $(CACHE),--cache '$(CACHE)') $(if $(MODEL),--model '$(MODEL)') \
	$(if $(DEVICE),--device '$(DEVICE)') $(foreach s,$(SET),--set '$(s)')
FLAGS = $(if $(DATASET),--benchmark '$(DATASET)') $(if $(TARGET),--target '$(TARGET)') $(if $(PROFILE),--profile '$(PROFILE)') $(if $(SEED),--seed '$(SEED)') \
	$(if $(CONFIG),--config '$(CONFIG)') $(COMMON)

help: ## list the targets
	@echo 'samtune: fine-tune SAM on a few annotated images, and say honestly how much that helped'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST)
	@echo
	@echo 'variables of finetune and zeroshot, all optional:'
	@echo '  DATASET=drive TARGET=vessels PROFILE=fast SHOTS=5 SEED=1 DECODER=linear COMPARE=plain MODEL=lite_medsam OUT=dir DATA=dir CACHE=dir DEVICE=cuda CONFIG=my.toml AGAIN=1'
	@echo '  SET="train.steps=100 train.lr=1e-4"   any other setting'
	@echo '  LIBTORCH=/path                        a libtorch that is already there'
	@echo '  CUDA=1                                fetch what a GPU needs too; 12 or 13: for the driver of another machine'

setup: ## fetch libtorch and the model weights into the cache, once
	@command -v python3 >/dev/null || { echo 'setup: python3 is not on this machine: install it, as with: apt-get install python3 python3-pip' >&2; exit 1; }
	@python3 scripts/setup.py

build: setup ## build bin/samtune; GOTORCH=1: with the second binding of libtorch
	@[ -e bin/samtune ] || echo 'build: compiling samtune and its binding of libtorch; on a new machine that takes a few minutes' >&2
	@$(if $(GOTORCH),$(GOTORCH_ENV),$(GO_ENV)) && go build $(if $(GOTORCH),-tags gotorch) -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/samtune ./cmd/samtune

bundle: ## a folder and a tarball for machines with neither Go nor network, into dist or OUT=dir; LIBTORCH=none: for their PyTorch
	@$(MAKE) --no-print-directory setup LIBTORCH='$(filter-out none,$(LIBTORCH))'
	@$(GO_ENV) && export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null)} && \
	  python3 scripts/bundle.py --version '$(VERSION)' --commit '$(COMMIT)' --out '$(or $(OUT),dist)' $(if $(filter none,$(LIBTORCH)),--without-libtorch) $(CUDA_TESTS)

release: ## the files of a release, from a clean clone, the same bytes each time: VERSION=v0.1.0, into dist or OUT=dir
	@python3 scripts/release.py --check --version '$(VERSION)'
	@$(MAKE) --no-print-directory setup LIBTORCH= CUDA=
	@$(GO_ENV) && python3 scripts/release.py --version '$(VERSION)' --out '$(or $(OUT),dist)' $(CUDA_TESTS)

finetune: build ## the main job: fine-tune on a few images and compare with zero-shot
	@bin/samtune finetune $(FLAGS) $(if $(AGAIN),--again) $(if $(SHOTS),--shots '$(SHOTS)') $(if $(DECODER),--decoder '$(DECODER)') $(if $(COMPARE),--compare '$(COMPARE)')

sweep: build ## Dice over the number of shots, with many draws of each: SHOTS=1,3,5,10,20 SEEDS=5 OUT=dir JOBS=1 DECODERS=own
	@bin/samtune sweep $(if $(DATASET),--benchmark '$(DATASET)') $(if $(TARGET),--target '$(TARGET)') $(if $(DECODERS),--decoders '$(DECODERS)') \
	  $(if $(SHOTS),--shots '$(SHOTS)') $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(JOBS),--jobs '$(JOBS)') $(if $(PROFILE),--profile '$(PROFILE)') $(if $(CONFIG),--config '$(CONFIG)') \
	  $(COMMON)

compare: build ## zero-shot and fine-tuned over all benchmarks that are present: SHOTS=5 SEED=1 OUT=dir BENCHMARKS=drive,ph2
	@bin/samtune compare $(if $(BENCHMARKS),--benchmarks '$(BENCHMARKS)') $(if $(DECODERS),--decoders '$(DECODERS)') $(if $(SHOTS),--shots '$(SHOTS)') \
	  $(if $(SEED),--seed '$(SEED)') $(COMMON)

zeroshot: build ## the comparison without training
	@bin/samtune zeroshot $(FLAGS) $(if $(AGAIN),--again)

evaluate: build ## test what a run fine-tuned: CHECKPOINT=runs/...
	@bin/samtune evaluate --checkpoint '$(CHECKPOINT)' $(FLAGS) $(if $(AGAIN),--again)

repro: build ## repeat a run from its record and say whether the bytes agree: RUN=runs/...
	@bin/samtune repro '$(RUN)' $(if $(OUT),--out '$(OUT)') $(if $(DATA),--data '$(DATA)') $(if $(CACHE),--cache '$(CACHE)') \
	  $(if $(DEVICE),--device '$(DEVICE)') $(if $(AGAIN),--again)

doctor: build ## look at all that samtune needs on this machine, and say what to do where something is off
	@bin/samtune doctor $(if $(DATA),--data '$(DATA)') $(if $(CACHE),--cache '$(CACHE)')

test: setup ## all tests
	@python3 -m unittest -q scripts/test_setup.py scripts/test_gotorch.py scripts/test_bundle.py scripts/test_release.py scripts/test_check.py bench/test_run.py
	@$(GO_ENV) && go test -timeout 30m ./...

test-pure: ## the tests of the packages that need no libtorch
	@go test ./data/... ./eval/... ./checkpoints/... ./configs/...

test-cuda: setup ## parity, a short training and its repeat on a GPU; skipped without one
	@$(GO_ENV) && go test -count=1 -v -run CUDA $(CUDA_TESTS)

test-gotorch: setup ## gotorch, a second binding of libtorch, repeats what matters; the default build is without it
	@if go list -deps ./... | grep '^github.com/wangkuiyi/gotorch'; then echo 'gotorch is in the default build' >&2; exit 1; fi
	@$(GOTORCH_ENV) && export OMP_NUM_THREADS=1 && go vet -tags gotorch ./internal/tensor ./internal/witness && \
	  go tool staticcheck -tags gotorch ./internal/tensor ./internal/witness && go test -count=1 -tags gotorch ./internal/witness

test-slurm: build ## a sweep on a real Slurm of two nodes, made here and removed again
	@python3 scripts/test_slurm.py

test-bundle: ## bundles made and tried in an empty Debian without Go and network, unpacked here and removed again
	@python3 scripts/test_bundle_root.py

test-docs: build ## the commands and files of the tutorial and the how-to pages, in short; FULL=1: as they stand
	@python3 scripts/test_docs.py $(if $(FULL),--full)

torture: build ## kill finetune, encode, sweep and export at random moments and look for what is lost: KILLS=60 SEED=1
	@python3 scripts/torture.py $(if $(KILLS),--kills '$(KILLS)') $(if $(SEED),--seed '$(SEED)')

docs: build ## write what the pages take from the program and from the files in docs/results
	@SAMTUNE_DATA= bin/samtune docs .

bench: build ## the same work in samtune and in Python by turns: CASES=encode,step ROUNDS=3 THREADS=2 OUT=dir PYTHON=path FULL=1
	@$(GO_ENV) && python3 bench/run.py --out '$(or $(OUT),bench-out)' $(if $(CASES),--cases '$(CASES)') $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(THREADS),--threads '$(THREADS)') \
	  $(if $(DEVICE),--device '$(DEVICE)') $(if $(BUNDLE),--bundle '$(BUNDLE)') $(if $(PYTHON),--python '$(PYTHON)') $(if $(DATA),--data '$(DATA)') $(if $(IMAGES),--images '$(IMAGES)') $(if $(SHOTS),--shots '$(SHOTS)') \
	  $(if $(STEPS),--steps '$(STEPS)') $(if $(PROFILE),--profile '$(PROFILE)') $(if $(FULL),--full)

bench-scale: build ## how time and memory grow with images, shots, tiles and the images' side: IMAGES=5,50,500 OUT=dir
	@python3 bench/scale.py --out '$(or $(OUT),bench-out)' $(if $(IMAGES),--images '$(IMAGES)')

lint: setup ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	@$(GO_ENV) && go vet ./... && go tool staticcheck ./...

check: lint ## lint, dead code, direction of imports, package comments, pages that are made, figures, links
	@$(GO_ENV) && dead=$$(go tool deadcode -test ./...) && if [ -n "$$dead" ]; then echo "deadcode: $$dead"; exit 1; fi
	@python3 scripts/check.py
	@$(GO_ENV) && go test -run '^Test(PagesAreCurrent|EveryFigureHasAFile)$$' ./cmd/samtune

vuln: setup ## known vulnerabilities in what the program calls; asks the database at vuln.go.dev
	@$(GO_ENV) && go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

fuzz: setup ## every fuzz target, ten minutes each: FUZZTIME=30s ONLY=NIfTI JOBS=4 OUT=dir
	@$(GO_ENV) && python3 scripts/fuzz.py --time $(or $(FUZZTIME),10m) $(if $(JOBS),--jobs '$(JOBS)') $(if $(ONLY),--only '$(ONLY)') $(if $(OUT),--out '$(OUT)')

clean: ## remove what was built in this clone; the cache and runs/ stay
	@rm -rf bin dist .samtune
