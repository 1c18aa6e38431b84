//! Student's t distribution with a whole number of degrees of freedom.

/// P(|T| < t) for Student's t with a whole number of degrees of freedom, as a finite sum: Abramowitz and Stegun 26.7.3–4.
pub fn t_within(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = if degrees == 1 { 0.0 } else { term };
    for k in (if odd { 3 } else { 2 }..degrees).step_by(2) {
        term *= cosine * cosine * (k - 1) as f64 / k as f64;
        sum += term;
    }
    if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

/// The t below which a share `probability` (½ ≤ p < 1) of Student's distribution lies, by bisection.
pub fn t_quantile(probability: f64, degrees: usize) -> f64 {
    let within = 2.0 * probability - 1.0;
    let mut high = 1.0;
    while t_within(high, degrees) < within {
        high *= 2.0;
    }
    let mut low = 0.0;
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if t_within(middle, degrees) < within { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, golden: f64) {
        assert!((ours - golden).abs() <= 1e-10 * golden.abs().max(1e-3), "{ours} is not {golden}");
    }

    /// scipy 1.17.1: `t.ppf(0.975, df)`, `t.ppf(0.8, df)`, `2 * t.sf(2.5, df)`
    const STUDENT: [(usize, f64, f64, f64); 6] = [
        (1, 12.706204736174694, 1.3763819204711738, 0.24223788318168682),
        (2, 4.302652729749462, 1.0606601717798214, 0.12961172022151082),
        (3, 3.1824463052837078, 0.9784723123633042, 0.08770664700806556),
        (4, 2.7764451051977934, 0.9409645772351816, 0.06676654481198814),
        (7, 2.364624251592784, 0.8960296443137653, 0.04099221858575289),
        (1000, 1.9623390808264083, 0.8419808221624288, 0.012578567801090807),
    ];

    #[test]
    fn student_t_is_scipys() {
        for (degrees, upper, eighty, p) in STUDENT {
            close(t_quantile(0.975, degrees), upper);
            close(t_quantile(0.8, degrees), eighty);
            close(1.0 - t_within(2.5, degrees), p);
        }
    }
}
