# exaone.c: `make help` lists the targets. New files need no line here: src/AREA/*.c, cli/*.c, examples/*.c, bench/*.c,
# tests/AREA/test_*.c, tests/AREA/test_*.sh, tests/tools/*.c and tests/fuzz/fuzz_*.c are found by name.
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh
BUILD ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60

ifndef EXAONE_READY
# First pass: install what is missing, then build the same goals with compiler and pkg-config surely in place. Runs
# nproc jobs unless -j is given.
GOALS := $(or $(MAKECMDGOALS),all)
GROUPS := library program video
GROUPS += $(if $(findstring test,$(GOALS)),test) $(if $(filter asan tsan fuzz check,$(GOALS)),test)
GROUPS += $(filter check fuzz,$(GOALS)) $(if $(filter format,$(GOALS)),check) $(if $(filter setup,$(GOALS)),test check fuzz)
GROUPS += $(if $(filter test-aarch64,$(GOALS)),cross)

.PHONY: $(GOALS) second-pass
$(GOALS): second-pass ; @:
second-pass:
	$(if $(filter-out clean help uninstall,$(GOALS)),@tools/setup.sh $(GROUPS))
	+@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$$(nproc)) EXAONE_READY=1 $(GOALS)
else

CC ?= cc
OBJCOPY ?= objcopy
OPT ?= -O2 -g
WERROR ?= -Werror
Q := $(if $(V),,@)
VERSION := $(shell sed -n 's/^.define EXAONE_VERSION "\(.*\)"/\1/p' include/exaone/version.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

# Libraries: the modules of tools/packages.txt; without FFmpeg the video part is left out.
modules = $(shell awk '$$1 == "$(1)" && $$3 !~ /^[-!]/ { gsub(",", " ", $$3); print $$3 }' tools/packages.txt)
LIB_MODULES := $(call modules,library)
PROGRAM_MODULES := $(call modules,program)
VIDEO_MODULES := $(call modules,video)
HAVE_VIDEO := $(if $(VIDEO_MODULES),$(shell pkg-config --exists $(VIDEO_MODULES) && echo 1))
ifeq ($(HAVE_VIDEO),1)
LIB_MODULES += $(VIDEO_MODULES)
else
$(info FFmpeg's libraries are not installed: building without video)
endif
packages = $(if $(strip $(2)),$(shell pkg-config $(1) $(2)))
LDLIBS := $(call packages,--libs,$(LIB_MODULES)) -lgif -lm -pthread
PROGRAM_LIBS := $(call packages,--libs,$(PROGRAM_MODULES))
PACKAGE_FLAGS := $(call packages,--cflags,$(LIB_MODULES) $(PROGRAM_MODULES))

WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla $(WERROR)
CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE= $(if $(HAVE_VIDEO),-DEXAONE_HAVE_FFMPEG=1)
CPPFLAGS += $(PACKAGE_FLAGS)
CFLAGS += -std=c11 $(OPT) $(WARN) -fPIC -fvisibility=hidden -fno-strict-aliasing -ffp-contract=off -pthread $(SAN)
CFLAGS += $(if $(FUZZ),-fsanitize=fuzzer-no-link)

# Instruction sets: one line per kernel folder that is not plain C, left out on other processors.
ISA_FLAGS :=
AMX_FLAGS := -mamx-tile -mamx-int8 -mamx-bf16
HAVE_AMX := $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),$(shell $(CC) $(AMX_FLAGS) -E -x c /dev/null >/dev/null 2>&1 && echo 1))
CPPFLAGS += $(if $(HAVE_AMX),-DEXAONE_HAVE_AMX=1)
HAVE_AVXVNNI := $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),$(shell $(CC) -mavxvnni -E -x c /dev/null >/dev/null 2>&1 && echo 1))
CPPFLAGS += $(if $(HAVE_AVXVNNI),-DEXAONE_HAVE_AVXVNNI=1)
ISA_x86_64 := avx2 $(if $(HAVE_AVXVNNI),avxvnni) avx512 avx512vnni $(if $(HAVE_AMX),amx)
ISA_aarch64 := neon dotprod i8mm
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ISA_LEVELS := scalar $(ISA_$(MACHINE))
$(BUILD)/src/cpu/kernels/avx2/%.o: ISA_FLAGS := -mavx2 -mfma -mf16c
$(BUILD)/src/cpu/kernels/avxvnni/%.o: ISA_FLAGS := -mavxvnni -mavx2 -mfma -mf16c
$(BUILD)/src/cpu/kernels/avx512/%.o: ISA_FLAGS := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
$(BUILD)/src/cpu/kernels/avx512vnni/%.o: ISA_FLAGS := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c
$(BUILD)/src/cpu/kernels/amx/%.o: ISA_FLAGS := $(AMX_FLAGS) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 \
	-mavx2 -mfma -mf16c
# gcc's first scheduling pass would bring loads together until the accumulators of a tile no longer fit into registers.
$(BUILD)/src/cpu/kernels/dotprod/%.o: ISA_FLAGS := -march=armv8.2-a+dotprod -fno-schedule-insns
$(BUILD)/src/cpu/kernels/i8mm/%.o: ISA_FLAGS := -march=armv8.2-a+dotprod+i8mm -fno-schedule-insns

LIB_SRC := $(sort $(wildcard src/*/*.c src/cpu/kernels/*.c $(ISA_LEVELS:%=src/cpu/kernels/%/*.c)))
CLI_SRC := $(sort $(wildcard cli/*.c))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))
KERNEL_CHECK_SRC := $(sort $(wildcard bench/checks/*.c))
TEST_SRC := $(sort $(wildcard tests/*/test_*.c))
TOOL_SRC := $(sort $(wildcard tests/tools/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
bin = $(patsubst %.c,$(BUILD)/%,$(1))

STATIC := $(BUILD)/libexaone.a
INTERNAL := $(BUILD)/internal.a
SHARED := $(BUILD)/libexaone.so
PROGRAM := $(BUILD)/exaone
LINK = $(CC) $(CFLAGS) $(LDFLAGS)

all: $(PROGRAM) $(STATIC) $(SHARED) $(call bin,$(EXAMPLE_SRC))

# Stamps: changed flags rebuild, a file added or removed archives again. The data folder concerns the program only, so that
# `make install PREFIX=` after `make` compiles one folder.
DATADIR := $(PREFIX)/share/exaone
FLAGS := $(strip $(CC) $(CPPFLAGS) $(CFLAGS))
ifneq ($(filter-out clean help setup uninstall,$(or $(MAKECMDGOALS),all)),)
$(shell mkdir -p $(BUILD))
ifneq ($(file <$(BUILD)/.flags),$(FLAGS))
$(file >$(BUILD)/.flags,$(FLAGS))
endif
ifneq ($(file <$(BUILD)/.sources),$(LIB_SRC))
$(file >$(BUILD)/.sources,$(LIB_SRC))
endif
ifneq ($(file <$(BUILD)/.datadir),$(DATADIR))
$(file >$(BUILD)/.datadir,$(DATADIR))
endif
endif

$(BUILD)/cli/%.o: CPPFLAGS += -DEXAONE_DATADIR='"$(DATADIR)"'
$(call obj,$(CLI_SRC)): $(BUILD)/.datadir

$(BUILD)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC   $<")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(ISA_FLAGS) -MMD -MP -c $< -o $@

# All objects, whose functions our program and tests may call across folders.
$(INTERNAL): $(call obj,$(LIB_SRC)) $(BUILD)/.sources
	@rm -f $@
	$(if $(V),,@echo "  AR   $@")
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

# What is installed: one object in which only what include/exaone declares is visible.
$(STATIC): $(call obj,$(LIB_SRC)) $(BUILD)/.sources
	@rm -f $@
	$(if $(V),,@echo "  AR   $@")
	$(Q)$(LD) -r -o $(BUILD)/libexaone.o $(filter %.o,$^)
	$(Q)$(OBJCOPY) --localize-hidden $(BUILD)/libexaone.o
	$(Q)$(AR) rcs $@ $(BUILD)/libexaone.o

# The real file is libexaone.so.VERSION; only what include/exaone declares is visible in it.
$(SHARED): $(call obj,$(LIB_SRC)) $(BUILD)/.sources
	$(if $(V),,@echo "  LD   $@.$(VERSION)")
	$(Q)$(LINK) -shared -Wl,-soname,$(@F).$(SOVERSION) $(if $(SAN),,-Wl,--no-undefined) $(filter %.o,$^) $(LDLIBS) \
		-o $@.$(VERSION)
	@ln -sf $(@F).$(VERSION) $@.$(SOVERSION)
	@ln -sf $(@F).$(SOVERSION) $@

$(PROGRAM): $(call obj,$(CLI_SRC)) $(INTERNAL)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) $(filter %.o %.a,$^) $(LDLIBS) $(PROGRAM_LIBS) -o $@

# Examples see the library as a stranger does: the public headers and the shared library.
$(BUILD)/examples/%: $(BUILD)/examples/%.o $(SHARED)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) $< -L$(BUILD) -lexaone -Wl,-rpath,'$$ORIGIN/..' -lm -o $@

$(BUILD)/bench/kernels: $(call obj,$(KERNEL_CHECK_SRC))
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(INTERNAL)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS) -o $@

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(call obj,$(SUPPORT_SRC)) $(INTERNAL)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) $(filter %.o %.a,$^) $(LDLIBS) -lcmocka -o $@

# The kernels and their tests without any library but libc, and without cmocka's: what tests/cpu/test_aarch64.sh compiles for
# another processor (SHA-256 is of libcrypto).
KERNEL_OBJ := $(call obj,$(filter-out src/base/sha256.c,$(filter src/base/% src/tensor/% src/cpu/%,$(LIB_SRC))))
kernel-tests: $(patsubst tests/cpu/%.c,$(BUILD)/kernel-tests/%,$(wildcard tests/cpu/test_*.c)) \
	$(BUILD)/kernel-tests/levels $(BUILD)/kernel-tests/kernels
$(BUILD)/kernel-tests/test_%: $(BUILD)/tests/cpu/test_%.o $(BUILD)/tests/cross/cmocka.o $(KERNEL_OBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) -static $^ -lm -o $@
$(BUILD)/kernel-tests/levels: $(BUILD)/tests/cross/levels.o $(KERNEL_OBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) -static $^ -lm -o $@

$(BUILD)/kernel-tests/kernels: $(call obj,bench/kernels.c $(KERNEL_CHECK_SRC) src/bench/machine.c src/bench/peaks.c) $(KERNEL_OBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) -static $^ -lm -o $@

# A fuzz target is a replayer of its corpus, except under `make fuzz`.
FUZZ_MAIN := $(if $(FUZZ),,$(BUILD)/tests/fuzz/driver.o)
$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(INTERNAL)
	$(if $(V),,@echo "  LD   $@")
	$(Q)$(LINK) $(if $(FUZZ),-fsanitize=fuzzer) $(filter %.o %.a,$^) $(LDLIBS) -o $@

bench: $(call bin,$(BENCH_SRC)) $(PROGRAM)
	@echo "measuring the 33B's shapes against what they should reach, five to ten minutes; what the table means: docs/performance.md"
	@bench/targets.py --program $(PROGRAM)
	@echo "more: $(PROGRAM) bench --help; $(BUILD)/bench/kernels, streams, long_document; bench/accuracy.py, compare.py, drafts.py"

tests: $(call bin,$(TEST_SRC) $(TOOL_SRC) $(FUZZ_SRC)) $(BUILD)/bench/kernels

test: all tests
	@BUILD=$(BUILD) tests/run.sh

test-aarch64:
	@BUILD=$(BUILD) tests/run.sh cpu/test_aarch64

demo: $(PROGRAM)
	@tools/demo.sh $(PROGRAM)

check: $(STATIC) $(SHARED)
	@BUILD=$(BUILD) tools/check/all.sh

format:
	@tools/check/format.sh --fix

asan:
	+@$(MAKE) BUILD=build-asan OPT="-O1 -g" SAN="-fsanitize=address,undefined -fno-sanitize-recover=all" test

tsan:
	+@$(MAKE) BUILD=build-tsan OPT="-O1 -g" SAN="-fsanitize=thread" test

# Clang warns about other things than gcc does, hence no -Werror.
fuzz:
	+@$(MAKE) BUILD=build-fuzz CC=clang WERROR= OPT="-O1 -g" FUZZ=1 \
		SAN="-fsanitize=address,undefined -fno-sanitize-recover=all" fuzz-run

fuzz-run: $(call bin,$(FUZZ_SRC))
	@BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh

# DESTDIR is put before PREFIX for the copy only.
TO := $(DESTDIR)$(PREFIX)
install: all
	install -d $(TO)/bin $(TO)/include/exaone $(TO)/lib/pkgconfig $(TO)/share/man/man1 $(TO)/share/exaone/models/tiny
	install -m 755 $(PROGRAM) $(TO)/bin/exaone
	install -m 644 include/exaone/*.h $(TO)/include/exaone/
	install -m 644 $(STATIC) $(TO)/lib/
	install -m 755 $(SHARED).$(VERSION) $(TO)/lib/
	ln -sf libexaone.so.$(VERSION) $(TO)/lib/libexaone.so.$(SOVERSION)
	ln -sf libexaone.so.$(SOVERSION) $(TO)/lib/libexaone.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(strip $(LDLIBS))|' tools/exaone.pc.in \
		> $(TO)/lib/pkgconfig/exaone.pc
	install -m 644 docs/man/exaone.1 $(TO)/share/man/man1/
	install -m 644 models/tiny/* $(TO)/share/exaone/models/tiny/
	install -D -m 644 completions/exaone.bash $(TO)/share/bash-completion/completions/exaone
	install -D -m 644 completions/exaone.zsh $(TO)/share/zsh/site-functions/_exaone
	install -D -m 644 completions/exaone.fish $(TO)/share/fish/vendor_completions.d/exaone.fish
	$(if $(DESTDIR),,-@ldconfig 2>/dev/null)

# What `install` with the same PREFIX and DESTDIR put there, and the folders that are exaone's own.
uninstall:
	rm -f $(TO)/bin/exaone $(TO)/lib/libexaone.a $(TO)/lib/libexaone.so* $(TO)/lib/pkgconfig/exaone.pc
	rm -f $(TO)/share/man/man1/exaone.1 $(TO)/share/bash-completion/completions/exaone
	rm -f $(TO)/share/zsh/site-functions/_exaone $(TO)/share/fish/vendor_completions.d/exaone.fish
	rm -rf $(TO)/include/exaone $(TO)/share/exaone
	$(if $(DESTDIR),,-@ldconfig 2>/dev/null)

setup:
	@echo "all packages are installed"

clean:
	rm -rf build build-asan build-tsan build-fuzz $(BUILD)

help:
	@echo "make            build/exaone, the libraries and the examples"
	@echo "make demo       build, then ask the built-in tiny model about an image, a video and a sum"
	@echo "make test       every test; the last line counts them"
	@echo "make test-aarch64  the kernels of 64-bit ARM, cross-compiled and run under qemu (make test does it where both are)"
	@echo "make bench      measure the 33B's shapes against their targets, ten minutes; LLAMA_BENCH=PROGRAM compares with llama.cpp"
	@echo "make check      the static rules: includes, symbols, calls, headers, sizes, format, cppcheck, links"
	@echo "make format     clang-format on every source file"
	@echo "make asan       the tests under the address and undefined-behaviour sanitizers"
	@echo "make tsan       the tests under the thread sanitizer"
	@echo "make fuzz       every fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) seconds"
	@echo "make install    to PREFIX=$(PREFIX), below DESTDIR if given"
	@echo "make uninstall  take that away again"
	@echo "make setup      install the Debian/Ubuntu packages that are missing (the others do it too)"
	@echo "make clean      remove what was built"
	@echo "V=1 shows the commands, BUILD=DIR builds elsewhere"

.PHONY: all bench tests test test-aarch64 kernel-tests demo check format asan tsan fuzz fuzz-run install uninstall setup clean help
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
endif
