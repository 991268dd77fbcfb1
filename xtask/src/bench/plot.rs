//! Line charts as SVG, both axes logarithmic or the lower one by steps, with
//! colours for light and dark pages.

use std::fmt::Write as _;

/// One line.
pub(crate) struct Series {
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// What is beside the point is drawn thinner and dashed.
    pub(crate) aside: bool,
}

/// A chart.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What stands below the lower axis.
    pub(crate) x: String,
    /// What stands above the left axis.
    pub(crate) y: String,
    pub(crate) series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 52.0;
/// Least distance of two names at the right, one line of text.
const LINE: f64 = 16.0;

/// Colours that differ for most eyes, on white and on black; they repeat.
const COLOURS: [(&str, &str); 6] = [
    ("#0b6bcb", "#5aa9f5"),
    ("#c4420c", "#f58a5a"),
    ("#1c7c3c", "#5fc983"),
    ("#8a3fa0", "#cf8be3"),
    ("#8a6d00", "#d9b93a"),
    ("#5f6b76", "#a3b0bb"),
];

impl Plot {
    /// The chart as an SVG file; `None` where there is no point.
    pub(crate) fn svg(&self) -> Option<String> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let across = Axis::of(points().map(|point| point.0), LEFT, WIDTH - RIGHT, false)?;
        let up = Axis::of(points().map(|point| point.1), HEIGHT - BOTTOM, TOP, true)?;
        let mut svg = head(&self.title);
        self.grid(&mut svg, &across, &up);
        let mut names = Vec::new();
        for (number, series) in self.series.iter().enumerate() {
            let Some(&(_, last)) = series.points.last() else {
                continue;
            };
            let class = format!("s{}", number % COLOURS.len());
            let aside = if series.aside { " aside" } else { "" };
            let places: Vec<String> = series
                .points
                .iter()
                .map(|&(x, y)| format!("{:.1},{:.1}", across.place(x), up.place(y)))
                .collect();
            line(
                &mut svg,
                &format!(
                    "<polyline class=\"{class}{aside}\" points=\"{}\"/>",
                    places.join(" ")
                ),
            );
            for (&(_, y), place) in series.points.iter().zip(&places) {
                let (cx, cy) = place.split_once(',')?;
                let title = format!("{}: {}", series.name, short(y));
                line(
                    &mut svg,
                    &format!(
                        "<circle class=\"{class}\" cx=\"{cx}\" cy=\"{cy}\" r=\"3\"><title>{}</title></circle>",
                        escaped(&title)
                    ),
                );
            }
            names.push((
                up.place(last),
                class,
                format!("{}: {}", series.name, short(last)),
            ));
        }
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let heights: Vec<f64> = names.iter().map(|name| name.0).collect();
        for ((_, class, name), y) in names.iter().zip(spread(&heights)) {
            text(&mut svg, class, WIDTH - RIGHT + 10.0, y + 4.0, name);
        }
        svg += "</svg>\n";
        Some(svg)
    }

    fn grid(&self, svg: &mut String, across: &Axis, up: &Axis) {
        text(svg, "title", LEFT, 22.0, &self.title);
        text(svg, "axis", LEFT, 42.0, &self.y);
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        text(svg, "axis middle", middle, HEIGHT - 12.0, &self.x);
        for tick in &up.ticks {
            let y = up.place(*tick);
            line(
                svg,
                &format!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                    WIDTH - RIGHT
                ),
            );
            text(svg, "axis end", LEFT - 8.0, y + 4.0, &short(*tick));
        }
        for tick in &across.ticks {
            let x = across.place(*tick);
            line(
                svg,
                &format!(
                    "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>",
                    HEIGHT - BOTTOM
                ),
            );
            text(svg, "axis middle", x, HEIGHT - BOTTOM + 18.0, &short(*tick));
        }
    }
}

/// A logarithmic axis from one place of the picture to another.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis that holds all values: rounded ones with a tick at 1, 2 and 5
    /// of each ten, or a tick at each value.
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64, rounded: bool) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (first, last) = (*values.first()?, *values.last()?);
        let ticks = if rounded {
            round_ticks(first, last)
        } else {
            values
        };
        let (low, high) = (*ticks.first()?, *ticks.last()?);
        Some(Self {
            low: low.ln(),
            high: if high > low {
                high.ln()
            } else {
                low.ln() + 1.0
            },
            from,
            to,
            ticks,
        })
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.ln() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }
}

/// Numbers 1, 2, 5, 10, … from the last not above `first` to the first not
/// below `last`.
fn round_ticks(first: f64, last: f64) -> Vec<f64> {
    let start = first.log10().floor() as i32;
    let end = last.log10().ceil() as i32;
    let steps = (start..=end).flat_map(|ten| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(ten)));
    let all: Vec<f64> = steps.collect();
    let low = all
        .iter()
        .rposition(|tick| *tick <= first * 1.000_1)
        .unwrap_or(0);
    let high = all.iter().position(|tick| *tick >= last * 0.999_9);
    all[low..=high.unwrap_or(all.len() - 1)].to_vec()
}

/// Moves sorted heights apart, downwards, until names do not overlap.
fn spread(heights: &[f64]) -> Vec<f64> {
    let mut placed = Vec::with_capacity(heights.len());
    let mut free = f64::MIN;
    for height in heights {
        let at = height.max(free);
        placed.push(at);
        free = at + LINE;
    }
    placed
}

/// A number as people write it in a chart.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 && v % 1e5 == 0.0 => format!("{} M", v / 1e6),
        v if v >= 1e4 && v % 1e3 == 0.0 => format!("{} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v.fract() == 0.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

fn head(title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n<style>\n\
         text {{ font: 13px system-ui, sans-serif; fill: #24292f; }}\n\
         .title {{ font-weight: 600; font-size: 15px; }}\n\
         .middle {{ text-anchor: middle; }}\n.end {{ text-anchor: end; }}\n\
         .grid {{ stroke: #8c959f; stroke-opacity: 0.3; }}\n\
         polyline {{ fill: none; stroke-width: 2.5; stroke-linejoin: round; }}\n\
         polyline.aside {{ stroke-width: 1.5; stroke-dasharray: 5 4; }}\n",
        escaped(title)
    );
    let colours = |svg: &mut String, colour: fn(&(&'static str, &'static str)) -> &'static str| {
        for (number, pair) in COLOURS.iter().enumerate() {
            let colour = colour(pair);
            line(
                svg,
                &format!(
                    "polyline.s{number} {{ stroke: {colour}; }} circle.s{number}, text.s{number} {{ fill: {colour}; }}"
                ),
            );
        }
    };
    colours(&mut svg, |pair| pair.0);
    svg += "@media (prefers-color-scheme: dark) {\ntext { fill: #e6edf3; }\n";
    colours(&mut svg, |pair| pair.1);
    svg + "}\n</style>\n"
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    // A String takes all that is written to it.
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(words)
    );
}

fn line(svg: &mut String, words: &str) {
    svg.push_str(words);
    svg.push('\n');
}

fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(series: Vec<Series>) -> Plot {
        Plot {
            title: "Time <by> size".into(),
            x: "keys".into(),
            y: "ns".into(),
            series,
        }
    }

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series {
            name: name.into(),
            points: points.to_vec(),
            aside: false,
        }
    }

    #[test]
    fn points_lie_where_their_values_are() {
        let svg = plot(vec![series("engine", &[(1e4, 100.0), (1e6, 1000.0)])])
            .svg()
            .unwrap();
        // The corners: least and greatest of both axes.
        assert!(svg.contains("points=\"64.0,368.0 570.0,56.0\""), "{svg}");
        assert!(svg.contains("engine: 1000"), "{svg}");
        assert!(svg.contains("Time &lt;by> size"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn without_points_there_is_no_chart() {
        assert_eq!(plot(vec![series("engine", &[])]).svg(), None);
        assert_eq!(plot(Vec::new()).svg(), None);
    }

    #[test]
    fn names_keep_apart() {
        assert_eq!(spread(&[10.0, 12.0, 100.0]), [10.0, 26.0, 100.0]);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_ticks(110.0, 900.0), [100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(round_ticks(1.0, 1.0), [1.0]);
        assert_eq!(round_ticks(0.3, 2.0), [0.2, 0.5, 1.0, 2.0]);
    }

    #[test]
    fn numbers_are_short() {
        let told = [1e4, 1e7, 1.5, 2.0, 123.4].map(short);
        assert_eq!(told, ["10 k", "10 M", "1.5", "2", "123"]);
    }
}
