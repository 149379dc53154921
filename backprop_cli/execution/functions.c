/* Functions of one number that compilers compute for several numbers at once: without branches and calls.
 *
 * Within 3 units in the last place over the whole range; NaN, infinities and denormals as in the C library. Included
 * once for each precision, of which the parts between empty lines that are used: REAL is the element type, BITS an
 * unsigned integer of its size, DIGITS the binary digits stored of a number, OF(name) a name with the type in it.
 *
 * Source: Cody & Waite, Software Manual for the Elementary Functions (1980), for the reduction of arguments. The
 * polynomials are own fits in 50 digits that minimize the largest error relative to the function (Lawson's reweighted
 * least squares); coefficients are rounded one after the other, and those that follow are fitted again. */

#define NUMBER(x) ((REAL)(x))
#define TERM(c, x, rest) (NUMBER(c) + (x) * (rest))
#define DOUBLE (DIGITS == 52)
#define BIAS (DOUBLE ? 1023 : 127) /* the stored exponent of 1 */
#define SIGN ((BITS)1 << (8 * sizeof(REAL) - 1))
#define SHIFT (NUMBER(1.5) * (REAL)((BITS)1 << DIGITS)) /* added to a number: the nearest integer in the lowest digits */
#define LN2_HIGH NUMBER(DOUBLE ? 0x1.62e42feep-1 : 0x1.63p-1) /* a product with an exponent is exact */
#define LN2_LOW NUMBER(DOUBLE ? 0x1.a39ef35793c76p-33 : -0x1.bd0105c610ca8p-13)
static inline REAL OF(real_of)(BITS x) { union { BITS bits; REAL real; } both = {x}; return both.real; }
static inline BITS OF(bits_of)(REAL x) { union { REAL real; BITS bits; } both = {.real = x}; return both.bits; }
static inline REAL OF(power_of_2)(BITS biased) { return OF(real_of)(biased << DIGITS); }
static inline REAL OF(absolute)(REAL x) { return OF(real_of)(OF(bits_of)(x) & ~SIGN); }
static inline REAL OF(signed_as)(REAL x, REAL like)
{
    return OF(real_of)((OF(bits_of)(x) & ~SIGN) | (OF(bits_of)(like) & SIGN));
}

/* q with e^x = 2^n (1 + q) and |q| < 0.42. Error of e^r - 1 = r + r^2 (...): 2^-26.1 and 2^-55.5. */
static inline REAL OF(exp_part)(REAL x, BITS *n)
{
    const REAL shifted = x * NUMBER(1.4426950408889634) + SHIFT, k = shifted - SHIFT;
    const REAL r = (x - k * LN2_HIGH) - k * LN2_LOW;
    *n = OF(bits_of)(shifted) - OF(bits_of)(SHIFT);
#if DOUBLE
    return r + r * r * TERM(0.5000000000000006, r, TERM(0.16666666666666605, r, TERM(0.04166666666657362, r,
        TERM(0.008333333333379838, r, TERM(0.0013888888932400013, r, TERM(0.0001984126974000788, r,
        TERM(2.480150439271111e-05, r, TERM(2.7557388682893207e-06, r, TERM(2.7626358375721764e-07, r,
        2.505980237822002e-08)))))))));
#else
    return r + r * r * TERM(0.49999997, r, TERM(0.16666543, r, TERM(0.041667543, r, TERM(0.008366551, r,
        NUMBER(0.0013860821)))));
#endif
}

/* The two powers of 2 keep a denormal result exact: it is rounded once. */
static inline REAL OF(exp)(REAL x)
{
    const REAL most = DOUBLE ? 710 : 89, least = DOUBLE ? -746 : -105;
    x = x > most ? most : x;
    x = x < least ? least : x;
    BITS n;
    const REAL q = OF(exp_part)(x, &n);
    const BITS biased = n + 2 * BIAS, half = biased >> 1;
    return (1 + q) * OF(power_of_2)(half) * OF(power_of_2)(biased - half);
}

/* Half of 2^n is a number where 2^n itself overflows. */
static inline REAL OF(expm1)(REAL x)
{
    const REAL most = DOUBLE ? 710 : 89, least = DOUBLE ? -40 : -20;
    x = x > most ? most : x;
    x = x < least ? least : x;
    BITS n;
    const REAL q = OF(exp_part)(x, &n), half = OF(power_of_2)(n + (BIAS - 1));
    return 2 * (half * q + (half - NUMBER(0.5)));
}

/* ``tanh |x| = e / (e + 2)`` with ``e = e^2|x| - 1``. */
static inline REAL OF(tanh)(REAL x)
{
    const REAL most = DOUBLE ? 20 : 10;
    REAL z = OF(absolute)(x);
    z = z > most ? most : z;
    BITS n;
    const REAL q = OF(exp_part)(2 * z, &n), power = OF(power_of_2)(n + BIAS), e = power * q + (power - 1);
    return OF(signed_as)(e / (e + 2), x);
}

/* log(2^k (1 + f)) with 1 + f in [sqrt(1/2), sqrt(2)). Errors of the fits: 2^-27.3 and 2^-59.5. */
static inline REAL OF(log_part)(REAL f, REAL k)
{
    const REAL half = NUMBER(0.5) * f * f;
#if DOUBLE
    const REAL s = f / (2 + f), z = s * s;
    const REAL rest = z * TERM(0.6666666666666735, z, TERM(0.3999999999940921, z, TERM(0.28571428743755284, z,
        TERM(0.22222198418141265, z, TERM(0.18183573110885873, z, TERM(0.15313808006294574, z,
        0.1479854751274508))))));
    return k * LN2_HIGH + (f - (half - (s * (half + rest) + k * LN2_LOW)));
#else
    const REAL rest = TERM(0.3333333, f, TERM(-0.25000823, f, TERM(0.20001245, f, TERM(-0.16623323, f,
        TERM(0.14201528, f, TERM(-0.13160357, f, TERM(0.12762454, f, NUMBER(-0.07634502))))))));
    return k * LN2_HIGH + (f - (half - (f * f * f * rest + k * LN2_LOW)));
#endif
}

/* The biased exponent k of x = 2^k m with m in [sqrt(1/2), sqrt(2)), for positive normal numbers; m; k as a number. */
static inline BITS OF(exponent)(REAL x)
{
    return (OF(bits_of)(x) - OF(bits_of)(NUMBER(0.7071067811865476)) + ((BITS)BIAS << DIGITS)) >> DIGITS;
}
static inline REAL OF(mantissa)(REAL x, BITS k) { return OF(real_of)(OF(bits_of)(x) - ((k - BIAS) << DIGITS)); }
static inline REAL OF(count)(BITS k, REAL less)
{
    const REAL one = (REAL)((BITS)1 << DIGITS);
    return OF(real_of)(OF(bits_of)(one) | k) - (one + less);
}

/* A denormal is made normal before its exponent is taken. */
static inline REAL OF(log)(REAL x)
{
    const REAL least = OF(power_of_2)(1), normal = x < least ? x * (REAL)((BITS)1 << (DIGITS + 1)) : x;
    const BITS k = OF(exponent)(normal);
    const REAL less = x < least ? BIAS + DIGITS + 1 : BIAS;
    const REAL out = OF(log_part)(OF(mantissa)(normal, k) - 1, OF(count)(k, less));
    const REAL outside = x == 0 ? -__builtin_inf() : __builtin_nan("");
    return x <= 0 ? outside : x < NUMBER(__builtin_inf()) ? out : x;
}

/* ``1 + x = u + low``, exactly. */
static inline REAL OF(log1p)(REAL x)
{
    const REAL u = 1 + x, rest = u - x, low = (x - (u - rest)) + (1 - rest);
    const BITS k = OF(exponent)(u), down = k < 2 * BIAS ? 2 * BIAS - k : 1;
    const REAL f = (OF(mantissa)(u, k) - 1) + low * OF(power_of_2)(down);
    const REAL out = OF(log_part)(f, OF(count)(k, BIAS));
    const REAL outside = x == -1 ? -__builtin_inf() : __builtin_nan("");
    return x <= -1 ? outside : x < NUMBER(__builtin_inf()) ? out : x;
}

/* ``x + x P(x^2)`` for |x| < 1, else ``1 - e^Q(|x|)``: errors 2^-29.4 and 2^-56.3, 2^-29.8 and 2^-54.9. */
static inline REAL OF(erf)(REAL x)
{
    const REAL most = DOUBLE ? 6 : 4, square = x * x;
    REAL z = OF(absolute)(x);
    z = z > most ? most : z;
#if DOUBLE
    const REAL p = TERM(0.1283791670955126, square, TERM(-0.3761263890318408, square, TERM(0.1128379167096984, square,
        TERM(-0.026866170647755493, square, TERM(0.005223977649816708, square, TERM(-0.0008548328364936793, square,
        TERM(0.00012055379882194855, square, TERM(-1.4926729866293125e-05, square, TERM(1.647864983928239e-06, square,
        TERM(-1.6531997408374547e-07, square, TERM(1.5847729034479046e-08, square, TERM(-1.584099703346472e-09, square,
        1.331823431284706e-10))))))))))));
    const REAL tail = TERM(-1.0713943172330694e-06, z, TERM(-1.1283686414926724, z, TERM(-0.636667875072047, z,
        TERM(-0.10263688786929977, z, TERM(0.018864038692496626, z, TERM(0.0005857949958134688, z,
        TERM(-0.0021004532258215407, z, TERM(0.0009211941805663676, z, TERM(-0.00023137226707691728, z,
        TERM(2.832461659450628e-05, z, TERM(3.496904301512409e-06, z, TERM(-2.642485120967044e-06, z,
        TERM(6.816247514970941e-07, z, TERM(-1.0732647039516823e-07, z, TERM(1.08138321841935e-08, z,
        TERM(-6.463273573499317e-10, z, 1.754897617524097e-11))))))))))))))));
#else
    const REAL p = TERM(0.12837917, square, TERM(-0.37612626, square, TERM(0.11283582, square,
        TERM(-0.026853595, square, TERM(0.005187852, square, TERM(-0.00080057187, square, NUMBER(7.838526e-05)))))));
    const REAL tail = TERM(-0.0003411795, z, TERM(-1.1270906, z, TERM(-0.6381426, z, TERM(-0.10310863, z,
        TERM(0.021838905, z, TERM(-0.0029478488, z, NUMBER(0.00018639592)))))));
#endif
    BITS n;
    const REAL q = OF(exp_part)(tail, &n), far = 1 - (1 + q) * OF(power_of_2)(n + BIAS);
    return z < 1 ? x + x * p : OF(signed_as)(far, x);
}
