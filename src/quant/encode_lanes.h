/* Sums of eight candidates over a block of n = 16 or 32 values x with weights w. Arrays id, d, m and the results have one
 * entry per candidate. Levels are whole numbers: q next to x * id within lo..hi, or next to (x + m) * id within 0..top. */
#ifndef EXAONE_QUANT_ENCODE_LANES_H
#define EXAONE_QUANT_ENCODE_LANES_H

enum { EXAONE_ENCODE_LANES = 8 };

/* qq = sum w q^2, qx = sum w q x, q1 = sum w q */
void exaone_encode_lanes_scale_gains(int n, const float *x, const float *w, float lo, float hi, const float *id, float *qq,
                                     float *qx);
void exaone_encode_lanes_affine_gains(int n, const float *x, const float *w, float top, const float *id, const float *m,
                                      float *q1, float *qq, float *qx);
/* e = sum w (x - d q)^2, or sum w (x - (d q - m))^2 */
void exaone_encode_lanes_scale_errors(int n, const float *x, const float *w, float lo, float hi, const float *id,
                                      const float *d, float *e);
void exaone_encode_lanes_affine_errors(int n, const float *x, const float *w, float top, const float *id, const float *d,
                                       const float *m, float *e);

#endif
