//! Charts: drawn as SVG within the page, with the same numbers as a table for
//! those who cannot see them, or want them exact.
//!
//! The drawing is stretched to its place, so that no text is in it: what
//! stands at the axes is text of the page.

use maud::{Markup, html};

use super::parts;

/// A bar: what it stands for, and how much.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: u64,
}

/// A chart of bars side by side.
pub(super) struct Bars<'b> {
    /// The beginning of the ids in it.
    pub(super) id: &'b str,
    pub(super) title: &'b str,
    /// What is to be seen, in words.
    pub(super) summary: String,
    /// The heads of the table.
    pub(super) heads: [&'b str; 2],
    pub(super) bars: &'b [Bar],
}

/// Room for a bar, its gap included.
const STEP: usize = 10;
/// The height of a drawing.
const HEIGHT: f64 = 100.0;

impl Bars<'_> {
    pub(super) fn draw(&self) -> Markup {
        let top = ceiling(self.bars.iter().map(|bar| bar.value).max().unwrap_or(0));
        let middle = self.bars.len() / 2;
        let label = |index: usize| self.bars.get(index).map_or("", |bar| &bar.label);
        html! {
            figure.chart {
                figcaption { (self.title) }
                (scale(top))
                svg.plot role="img" aria-labelledby={ (self.id) "-title " (self.id) "-desc" }
                    viewBox={ "0 0 " (self.bars.len() * STEP) " 100" } preserveAspectRatio="none" focusable="false" {
                    title id={ (self.id) "-title" } { (self.title) }
                    desc id={ (self.id) "-desc" } { (self.summary) }
                    (grid(self.bars.len() * STEP))
                    @for (index, bar) in self.bars.iter().enumerate() {
                        @if bar.value > 0 {
                            @let height = height(bar.value, top).max(1.0);
                            rect.s1 x=(index * STEP + 1) width=(STEP - 2)
                                y=(format!("{:.2}", HEIGHT - height)) height=(format!("{height:.2}")) {
                                title { (bar.label) ": " (parts::number(bar.value)) }
                            }
                        }
                    }
                }
                div.along aria-hidden="true" {
                    span { (label(0)) } span { (label(middle)) } span { (label(self.bars.len().saturating_sub(1))) }
                }
                details {
                    summary { "The numbers" }
                    div.scroll tabindex="0" role="region" aria-label=(self.title) {
                        table {
                            thead { tr { th scope="col" { (self.heads[0]) } th.right scope="col" { (self.heads[1]) } } }
                            tbody {
                                @for bar in self.bars.iter().rev() {
                                    tr { th scope="row" { (bar.label) } td.right { (parts::number(bar.value)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A kind of thing in a chart of areas on top of each other, oldest value
/// first.
pub(super) struct Series<'s> {
    /// The class of its colour.
    pub(super) class: &'s str,
    pub(super) name: &'s str,
    pub(super) values: Vec<u64>,
}

/// A chart of areas on top of each other.
pub(super) struct Areas<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) summary: String,
    pub(super) series: &'a [Series<'a>],
    /// What stands below its left and its right end.
    pub(super) ends: [&'a str; 2],
}

impl Areas<'_> {
    pub(super) fn draw(&self) -> Markup {
        let length = self.series.first().map_or(0, |series| series.values.len());
        let mut floor = vec![0_u64; length];
        let total = |at: usize| -> u64 { self.series.iter().map(|series| series.values[at]).sum() };
        let top = ceiling((0..length).map(total).max().unwrap_or(0));
        let shapes: Vec<(&str, String)> = self
            .series
            .iter()
            .map(|series| (series.class, area(&mut floor, &series.values, top)))
            .collect();
        html! {
            figure.chart {
                figcaption { (self.title) }
                (scale(top))
                svg.plot role="img" aria-labelledby={ (self.id) "-title " (self.id) "-desc" }
                    viewBox={ "0 0 " (length.max(1)) " 100" } preserveAspectRatio="none" focusable="false" {
                    title id={ (self.id) "-title" } { (self.title) }
                    desc id={ (self.id) "-desc" } { (self.summary) }
                    (grid(length))
                    @for (class, shape) in &shapes { path class=(class) d=(shape) {} }
                }
                div.along aria-hidden="true" { span { (self.ends[0]) } span { (self.ends[1]) } }
                ul.legend {
                    @for series in self.series {
                        li {
                            svg.swatch viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" focusable="false" {
                                rect class=(series.class) width="10" height="10" {}
                            }
                            (series.name) " " span.num { (parts::number(series.values.iter().sum())) }
                        }
                    }
                }
            }
        }
    }
}

/// The outline of an area, in steps; the floor is raised by it.
fn area(floor: &mut [u64], values: &[u64], top: u64) -> String {
    use std::fmt::Write as _;
    if values.iter().all(|value| *value == 0) {
        return String::new();
    }
    let y = |value: u64| HEIGHT - height(value, top);
    let (mut upper, mut lower) = (String::new(), String::new());
    for (at, (below, value)) in floor.iter_mut().zip(values).enumerate() {
        let above = below.saturating_add(*value);
        // Writing to a string cannot fail.
        let _ = write!(upper, "V{:.2}H{}", y(above), at + 1);
        lower.insert_str(0, &format!("V{:.2}H{at}", y(*below)));
        *below = above;
    }
    format!("M0 {HEIGHT}{upper}{lower}Z")
}

fn height(value: u64, top: u64) -> f64 {
    value as f64 / top as f64 * HEIGHT
}

fn grid(width: usize) -> Markup {
    html! {
        @for y in [0, 50, 100] { line.grid x1="0" x2=(width) y1=(y) y2=(y) {} }
    }
}

fn scale(top: u64) -> Markup {
    html! {
        div.scale aria-hidden="true" {
            span { (parts::number(top)) }
            @if top.is_multiple_of(2) { span { (parts::number(top / 2)) } }
            span { "0" }
        }
    }
}

/// The next number of 1, 2, 4, 5 or 10 times a power of ten that a value fits
/// below.
fn ceiling(value: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 4, 5] {
            let top = power.saturating_mul(step);
            if top >= value.max(1) {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (value, top) in [
            (0, 1),
            (1, 1),
            (3, 4),
            (5, 5),
            (6, 10),
            (11, 20),
            (401, 500),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(ceiling(value), top, "{value}");
        }
    }

    #[test]
    fn an_area_goes_up_in_steps_and_back_along_its_floor() {
        let mut floor = [0, 5];
        assert_eq!(
            area(&mut floor, &[5, 5], 10),
            "M0 100V50.00H1V0.00H2V50.00H1V100.00H0Z"
        );
        assert_eq!(floor, [5, 10]);
        assert_eq!(area(&mut floor, &[0, 0], 10), "");
    }

    #[test]
    fn what_is_drawn_can_be_read_as_well() {
        let bars = [
            Bar {
                label: "<b>".into(),
                value: 12_345,
            },
            Bar {
                label: "2".into(),
                value: 0,
            },
        ];
        let chart = Bars {
            id: "c",
            title: "T",
            summary: "S".into(),
            heads: ["A", "B"],
            bars: &bars,
        };
        let shown = chart.draw().into_string();
        for part in [
            "role=\"img\"",
            "<desc id=\"c-desc\">S</desc>",
            "<td class=\"right\">12,345</td>",
            "&lt;b&gt;",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(
            !shown.contains("<b>") && !shown.contains("style="),
            "{shown}"
        );
    }
}
