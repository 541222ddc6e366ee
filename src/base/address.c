/* Which network addresses are public. Source: IANA IPv4 and IPv6 special-purpose address registries (RFC 6890 and later). */
#include "base/address.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t bytes[16];
    int bits;
} prefix;

static const prefix v4_special[] = {
    {{0}, 8},             /* "this network", 0.0.0.0 */
    {{10}, 8},            /* private */
    {{100, 64}, 10},      /* carrier-grade NAT */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local, cloud metadata */
    {{172, 16}, 12},      /* private */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays */
    {{192, 168}, 16},     /* private */
    {{198, 18}, 15},      /* benchmarking */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved, broadcast */
};

static const prefix v6_special[] = {
    {{0x20, 0x01}, 23},             /* protocol assignments: Teredo, benchmarking, ORCHID */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff}, 20},             /* documentation */
};

static bool has_prefix(const uint8_t *address, const prefix *p) {
    int whole = p->bits / 8, rest = p->bits % 8;
    if (memcmp(address, p->bytes, (size_t)whole) != 0) {
        return false;
    }
    unsigned mask = rest ? 0xffu << (8 - rest) & 0xff : 0;
    return (address[whole] & mask) == (p->bytes[whole] & mask);
}

static bool v4_is_public(const uint8_t address[4]) {
    uint8_t padded[16] = {0};
    memcpy(padded, address, 4);
    for (size_t i = 0; i < sizeof(v4_special) / sizeof(v4_special[0]); i++) {
        if (has_prefix(padded, &v4_special[i])) {
            return false;
        }
    }
    return true;
}

static bool v6_is_public(const uint8_t address[16]) {
    static const prefix mapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
    static const prefix nat64 = {{0, 0x64, 0xff, 0x9b}, 96};
    static const prefix six_to_four = {{0x20, 0x02}, 16};
    static const prefix global_unicast = {{0x20}, 3};
    if (has_prefix(address, &mapped) || has_prefix(address, &nat64)) {
        return v4_is_public(address + 12);
    }
    if (has_prefix(address, &six_to_four)) {
        return v4_is_public(address + 2);
    }
    /* 2000::/3 is all that is assigned for global unicast: ::, ::1, fc00::/7, fe80::/10 and ff00::/8 lie outside. */
    if (!has_prefix(address, &global_unicast)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(v6_special) / sizeof(v6_special[0]); i++) {
        if (has_prefix(address, &v6_special[i])) {
            return false;
        }
    }
    return true;
}

bool exaone_address_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        uint8_t bytes[4];
        memcpy(bytes, &v4.sin_addr, 4);
        return v4_is_public(bytes);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        return v6_is_public(v6.sin6_addr.s6_addr);
    }
    return false;
}
