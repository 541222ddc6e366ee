/* The size to which a picture is stretched before it is cut into patches: the reference's smart_resize.
 *
 * Formula (f = factor):
 *   H = f * round(h / f), W likewise; round goes to even at one half
 *   H * W > max_pixels: b = sqrt(h * w / max_pixels); H = max(f, f * floor(h / b / f)), W likewise
 *   H * W < min_pixels: b = sqrt(min_pixels / (h * w)); H = f * ceil(h * b / f), W likewise
 * All divisions in double, in this order. The first line can give 0, which then takes the last branch. */
#include "exaone/media.h"

#include <assert.h>
#include <math.h>

#include "base/error.h"
#include "base/json.h"

#define MAX_RATIO 200.0

/* n / d rounded to the nearest integer, halves to even: exact, whatever the rounding mode. */
static uint64_t divide_half_even(uint32_t n, uint32_t d) {
    uint64_t q = n / d, twice = (uint64_t)(n % d) * 2;
    if (twice > d || (twice == d && (q & 1))) {
        q++;
    }
    return q;
}

exaone_status exaone_smart_resize(uint32_t h, uint32_t w, int64_t min_pixels, int64_t max_pixels, uint32_t factor,
                                  uint32_t *H, uint32_t *W, exaone_error *err) {
    if (h == 0 || w == 0 || factor == 0 || min_pixels <= 0 || max_pixels <= 0) {
        return exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            "smart_resize needs positive numbers, got %ux%u pixels (height x width), factor %u, limits %lld to %lld", h, w,
            factor, (long long)min_pixels, (long long)max_pixels);
    }
    double ratio = (double)(h > w ? h : w) / (double)(h > w ? w : h);
    if (ratio > MAX_RATIO) {
        exaone_buf text; /* the reference's sentence, its number spelled as Python does */
        exaone_buf_init(&text, 64);
        exaone_json_put_double(&text, ratio);
        exaone_status status = exaone_fail(err, EXAONE_ERR_LIMIT, "absolute aspect ratio must be smaller than 200, got %s",
                                           text.data ? text.data : "more");
        exaone_buf_release(&text);
        return status;
    }
    double f = factor;
    double pixels = (double)((uint64_t)h * w);
    double a = f * (double)divide_half_even(h, factor), b = f * (double)divide_half_even(w, factor);
    /* Products below are exact: sides below 2^33 give at most 2^66, but anything from 2^62 on is above every limit anyway.
     */
    if (a * b > (double)max_pixels) {
        double beta = sqrt(pixels / (double)max_pixels);
        a = fmax(f, floor((double)h / beta / f) * f);
        b = fmax(f, floor((double)w / beta / f) * f);
    } else if (a * b < (double)min_pixels) {
        double beta = sqrt((double)min_pixels / pixels);
        a = ceil((double)h * beta / f) * f;
        b = ceil((double)w * beta / f) * f;
    }
    if (a > UINT32_MAX || b > UINT32_MAX) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "smart_resize: %ux%u pixels with limits %lld to %lld would become %.0fx%.0f, which is too large",
                           h, w, (long long)min_pixels, (long long)max_pixels, a, b);
    }
    *H = (uint32_t)a;
    *W = (uint32_t)b;
    assert(*H > 0 && *W > 0);
    return EXAONE_OK;
}
