//! Crossings between integers and floats, each with its range stated once.
//!
//! Must not know what the numbers mean.

/// The top 53 bits as a fraction: 0 (included) to 1 (excluded).
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / 9_007_199_254_740_992.0
}

/// Rounded to the nearest integer; values outside `i64` saturate, NaN is 0.
#[expect(clippy::cast_possible_truncation, reason = "rounded first; `as` saturates")]
pub(crate) fn rounded(value: f64) -> i64 {
    value.round() as i64
}

/// Exact up to 2^53, far above any count, time or identifier here.
#[expect(clippy::cast_precision_loss, reason = "callers stay below 2^53")]
pub(crate) fn float(value: i64) -> f64 {
    value as f64
}

/// A count as a float, exact up to 2^53.
pub(crate) fn count(value: usize) -> f64 {
    float(i64::try_from(value).unwrap_or(i64::MAX))
}

/// `value` as a whole number of 10^-`digits`.
pub(crate) fn scaled(value: f64, digits: u8) -> i64 {
    rounded(value * TENS[usize::from(digits)])
}

/// Rounded to `digits` decimals; the same double that reading the printed decimal would give.
pub(crate) fn round_to(value: f64, digits: u8) -> f64 {
    float(scaled(value, digits)) / TENS[usize::from(digits)]
}

const TENS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_gives_what_the_printed_decimal_reads_as() {
        assert_eq!(round_to(16.94, 1).to_bits(), 16.9_f64.to_bits());
        assert_eq!(round_to(-0.04, 1).to_bits(), 0.0_f64.to_bits());
        assert_eq!(scaled(-3.25, 1), -33);
    }
}
