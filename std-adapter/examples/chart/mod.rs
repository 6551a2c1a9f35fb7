//! What several of these programs draw as an SVG: curves over time, and below them how times are shared out.

use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;

/// A picture: curves above each other over the same time, and bars below.
pub(crate) struct Chart<'a, S> {
    /// The moments that were looked at, from first to last.
    pub(crate) samples: &'a [S],
    /// When a sample was taken, in seconds.
    pub(crate) at: fn(&S) -> f64,
    pub(crate) panels: &'a [Panel<'a, S>],
    /// A title, and the bars under it.
    pub(crate) shares: Option<(&'a str, &'a [Bar])>,
}

/// A title, and the curves that share an axis.
pub(crate) type Panel<'a, S> = (&'a str, &'a [Curve<'a, S>]);

/// A name, and what it shows of each sample.
pub(crate) type Curve<'a, S> = (&'a str, fn(&S) -> f64);

/// A name, and how its time was spent: what for, and how many seconds.
pub(crate) type Bar = (String, [(&'static str, f64); 3]);

/// What the first, the second and the third thing are drawn in: dark enough for a line on white.
const COLOURS: [RGBColor; 3] =
    [RGBColor(0, 102, 204), RGBColor(150, 150, 150), RGBColor(204, 0, 0)];

const WIDTH: u32 = 1000;
const PANEL: u32 = 210;
/// The room of a bar, and that of their title.
const BAR: u32 = 30;
const TITLE: u32 = 50;

/// What is left free at the sides.
const LEFT: i32 = 80;
const RIGHT: i32 = 20;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl<S> Chart<'_, S> {
    /// The text of the picture.
    pub(crate) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let panels = PANEL * u32::try_from(self.panels.len())?;
        let bars = match self.shares {
            Some((_, bars)) => TITLE + BAR * u32::try_from(bars.len())?,
            None => 0,
        };
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, panels + bars));
            let root = root.into_drawing_area();
            root.fill(&WHITE)?;
            let (above, below) = root.split_vertically(panels);
            for (panel, area) in self.panels.iter().zip(above.split_evenly((self.panels.len(), 1)))
            {
                self.draw(panel, &area)?;
            }
            if let Some((title, bars)) = self.shares {
                draw_bars(title, bars, &below)?;
            }
            root.present()?;
        }
        Ok(svg)
    }

    fn draw(&self, (title, curves): &Panel<'_, S>, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let end = self.samples.last().map_or(1.0, self.at).max(0.001);
        let values = |of: fn(&S) -> f64| self.samples.iter().map(of);
        let highest = curves.iter().flat_map(|(_, of)| values(*of)).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 15))
            .margin_right(RIGHT)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, 30)
            .build_cartesian_2d(0.0..end, 0.0..highest * 1.05)?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT)
            .y_labels(5)
            .x_label_formatter(&|at| format!("{at:.1} s"));
        mesh.draw()?;
        // The first comes on top.
        for (&(name, of), colour) in curves.iter().zip(COLOURS).rev() {
            let line = self.samples.iter().map(|sample| ((self.at)(sample), of(sample)));
            let drawn = chart.draw_series(LineSeries::new(line, colour))?.label(name);
            drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).draw()?;
        Ok(())
    }
}

fn draw_bars(title: &str, bars: &[Bar], area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let font = ("sans-serif", 13).into_font();
    area.draw(&Text::new(title, (LEFT, 10), font.clone()))?;
    let kinds = bars.first().map_or(&[][..], |(_, times)| times);
    for (nth, ((what, _), colour)) in kinds.iter().zip(COLOURS).enumerate() {
        let left = WIDTH as i32 / 2 + 120 * nth as i32;
        area.draw(&Rectangle::new([(left, 10), (left + 12, 22)], colour.filled()))?;
        area.draw(&Text::new(*what, (left + 18, 10), font.clone()))?;
    }
    for (row, (name, times)) in bars.iter().enumerate() {
        let top = (TITLE + BAR * row as u32) as i32 - 10;
        area.draw(&Text::new(name.as_str(), (4, top + 4), font.clone()))?;
        let all = times.iter().map(|(_, seconds)| seconds).sum::<f64>().max(1e-9);
        let mut left = LEFT;
        for ((_, seconds), colour) in times.iter().zip(COLOURS) {
            let width = f64::from(WIDTH as i32 - LEFT - RIGHT) * seconds / all;
            let right = left + width.round() as i32;
            area.draw(&Rectangle::new([(left, top), (right, top + 20)], colour.filled()))?;
            left = right;
        }
    }
    Ok(())
}
