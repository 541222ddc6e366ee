# exaone.c: see README.md. Targets: all, demo, test, check, asan, tsan, fuzz, install, setup, clean.
MAKEFLAGS += --no-builtin-rules
CC ?= cc
BUILD ?= build
PREFIX ?= /usr/local
OPT ?= -O2 -g
PKGS := libutf8proc libjpeg libpng libwebp libwebpdemux libcurl libcrypto libedit
OPTIONAL_PKGS := libavformat libavcodec libswscale libavutil
HAVE_FFMPEG := $(shell pkg-config --exists $(OPTIONAL_PKGS) 2>/dev/null && echo 1)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CPPFLAGS += -Iinclude -Isrc $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ifeq ($(HAVE_FFMPEG),1)
CPPFLAGS += -DEXAONE_HAVE_FFMPEG=1
PKGS += $(OPTIONAL_PKGS)
endif
CFLAGS += -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) -fPIC -fvisibility=hidden -fno-strict-aliasing -ffp-contract=off -pthread $(SAN)
LDLIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lgif -lm -pthread

LIB_SRC := $(sort $(wildcard src/*/*.c src/cpu/kernels/*.c src/cpu/kernels/*/*.c))
CLI_SRC := $(sort $(wildcard cli/*.c))
TEST_SRC := $(sort $(wildcard tests/*/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
OBJ = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB := $(BUILD)/libexaone.a
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))
FUZZERS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(FUZZ_SRC))

all: $(BUILD)/exaone

$(BUILD)/src/cpu/kernels/avx2/%.o: CFLAGS += -mavx2 -mfma -mf16c

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(call OBJ,$(LIB_SRC))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/exaone: $(call OBJ,$(CLI_SRC)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

tests: $(TESTS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(call OBJ,$(SUPPORT_SRC)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@

clean:
	rm -rf $(BUILD)

.PHONY: all tests clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
