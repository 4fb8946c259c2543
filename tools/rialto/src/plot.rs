//! Latency percentiles as a picture: one SVG file that any browser shows.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 50.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - 30.0;
const PLOT_HEIGHT: f64 = HEIGHT - TOP - 70.0;
/// Nines on the horizontal axis: 0 is the least value, 5 is 99.999 %.
const NINES: f64 = 5.0;

/// Where a quantile stands: each nine takes the same room, as in the plots of HdrHistogram.
fn x_of(quantile: f64) -> f64 {
    let nines = -(1.0 - quantile).max(1e-9).log10();
    LEFT + PLOT_WIDTH * (nines / NINES).min(1.0)
}

/// Draws the percentiles of a histogram of nanoseconds, on a logarithmic axis of microseconds.
pub fn svg(title: &str, histogram: &Histogram<u64>) -> String {
    let decade = |value_ns: u64| (value_ns.max(1) as f64 / 1000.0).log10();
    let low = decade(histogram.min()).floor();
    let high = decade(histogram.max()).ceil().max(low + 1.0);
    let y_of = |value_ns: u64| TOP + PLOT_HEIGHT * (1.0 - (decade(value_ns) - low) / (high - low));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
    for power in low as i32..=high as i32 {
        let y = y_of((10f64.powi(power) * 1000.0) as u64);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ccc\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} us</text>",
            LEFT - 8.0,
            y + 4.0,
            10f64.powi(power)
        );
    }
    for quantile in [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999] {
        let x = x_of(quantile);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ccc\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} %</text>",
            bottom + 20.0,
            (quantile * 1e7).round() / 1e5
        );
    }
    let points = (0..=500).map(|step| {
        let quantile = 1.0 - 10f64.powf(-NINES * f64::from(step) / 500.0);
        format!("{:.1},{:.1}", x_of(quantile), y_of(histogram.value_at_quantile(quantile)))
    });
    let points: Vec<String> = points.collect();
    let _ = writeln!(
        text,
        "<polyline fill=\"none\" stroke=\"#0645ad\" stroke-width=\"2\" points=\"{}\"/>\n\
         <text x=\"{LEFT}\" y=\"{}\">planned time to report; {} messages, maximum {:.1} us</text>\n</svg>",
        points.join(" "),
        HEIGHT - 18.0,
        histogram.len(),
        histogram.max() as f64 / 1000.0
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_from_the_least_to_the_greatest_value() {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        (1..=990).for_each(|micros| histogram.record(micros * 1000).unwrap());
        let text = svg("a < b", &histogram);
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && text.contains("a &lt; b"));
        let (_, rest) = text.split_once("points=\"").unwrap();
        let (points, _) = rest.split_once('"').unwrap();
        let heights: Vec<f64> =
            points.split(' ').map(|point| point.split_once(',').unwrap().1.parse().unwrap()).collect();
        assert!(heights.windows(2).all(|pair| pair[1] <= pair[0]), "upwards is smaller");
        assert_eq!(heights[0], TOP + PLOT_HEIGHT, "1 us is the bottom line");
        assert!((heights[500] - TOP).abs() < 1.0, "990 us is next to the top line");
        assert!(text.contains("99.999 %") && text.contains("990 messages"));
    }
}
