//! One plot per workload: a bar per server, a dot per round, a line where the bar of the issue is.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::statistics::Summary;

/// A server's line in the plot.
pub struct Bar {
    /// Its name.
    pub label: String,
    /// How long the bar is.
    pub ratio: Summary,
    /// Where its dots are.
    pub rounds: Vec<f64>,
}

const WIDTH: u32 = 900;
const ROW: u32 = 44;
const MARGIN: u32 = 110;

/// Draws the file.
pub fn draw(file: &Path, title: &str, bar: f64, bars: &[Bar]) -> Result<()> {
    let rows = u32::try_from(bars.len())?;
    let root = SVGBackend::new(file, (WIDTH, MARGIN + ROW * rows)).into_drawing_area();
    let drawn = paint(&root, title, bar, bars);
    drawn.map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
}

fn paint<'a>(
    root: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    title: &str,
    bar: f64,
    bars: &[Bar],
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    root.fill(&WHITE)?;
    let rounds = bars.iter().flat_map(|bar| &bar.rounds).copied();
    let most = rounds.fold(bar, f64::max) * 1.05;
    let height = bars.len() as f64;
    let mut chart = ChartBuilder::on(root)
        .margin(14)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(40)
        .y_label_area_size(230)
        .build_cartesian_2d(0f64..most, 0f64..height)?;
    let label = |y: &f64| {
        let row = (height - y).floor() as usize;
        bars.get(row)
            .map_or_else(String::new, |bar| bar.label.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_desc("ratio to what it is compared with; a dot per round")
        .draw()?;
    let blue = RGBColor(90, 130, 190);
    for (row, bar) in bars.iter().enumerate() {
        let top = height - row as f64;
        let (high, low, middle) = (top - 0.2, top - 0.8, top - 0.5);
        chart.draw_series([Rectangle::new(
            [(0.0, low), (bar.ratio.median, high)],
            blue.mix(0.5).filled(),
        )])?;
        let dots = bar
            .rounds
            .iter()
            .map(|ratio| Circle::new((*ratio, middle), 2, BLACK.mix(0.5).filled()));
        chart.draw_series(dots)?;
        let at = chart.backend_coord(&(0.0, middle));
        let text = format!("{}  {:.3}", label(&middle), bar.ratio.median);
        let style =
            ("sans-serif", 13)
                .into_text_style(root)
                .pos(plotters::style::text_anchor::Pos::new(
                    plotters::style::text_anchor::HPos::Right,
                    plotters::style::text_anchor::VPos::Center,
                ));
        root.draw_text(&text, &style, (at.0 - 8, at.1))?;
    }
    let line = |x: f64, colour: RGBColor| {
        std::iter::once(PathElement::new(
            [(x, 0.0), (x, height)],
            colour.stroke_width(1),
        ))
    };
    chart.draw_series(line(1.0, BLACK))?;
    chart.draw_series(line(bar, RED))?;
    root.present()?;
    Ok(())
}
