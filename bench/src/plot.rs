//! One picture per family: how many times as long as the best of its row each candidate takes, on a
//! logarithmic axis, with the middle half of the repetitions. Further left is better.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::family::OURS;
use crate::record::{Row, Run};
use crate::report::Grid;

/// A row's height.
const ROW: u32 = 26;
const LABELS: u32 = 190;
/// Above the legend, and a line of it.
const HEAD: u32 = 80;
const LEGEND: u32 = 20;
const FOOT: u32 = 34;
const WIDTH: u32 = 960;

/// Ours is the red one.
const RED: RGBColor = RGBColor(200, 30, 40);
const OTHERS: [RGBColor; 11] = [
    RGBColor(40, 90, 170),
    RGBColor(20, 130, 90),
    RGBColor(220, 150, 0),
    RGBColor(120, 80, 160),
    RGBColor(90, 90, 90),
    RGBColor(0, 150, 190),
    RGBColor(170, 100, 60),
    RGBColor(230, 110, 170),
    RGBColor(140, 170, 40),
    RGBColor(0, 60, 90),
    RGBColor(160, 160, 230),
];

/// Writes the picture of one family. With a single candidate there is nothing to compare: the axis
/// then shows its nanoseconds.
pub(crate) fn family(run: &Run, grid: &Grid<'_>, file: &Path) -> Result<(), String> {
    let rows = u32::try_from(grid.workloads.len()).expect("a few");
    let (_, lines) = legend(&labels(run, grid));
    let head = HEAD + LEGEND * lines;
    let root = SVGBackend::new(file, (WIDTH, head + ROW * rows + FOOT)).into_drawing_area();
    draw(&root, run, grid, head).map_err(|e| format!("{}: {e}", file.display()))?;
    root.present().map_err(|e| format!("{}: {e}", file.display()))
}

/// What the legend says of each candidate: who it is, and in which version.
fn labels(run: &Run, grid: &Grid<'_>) -> Vec<String> {
    let label = |candidate: &String| match run.machine.version_of(candidate) {
        Some(version) => format!("{candidate} {version}"),
        None => candidate.clone(),
    };
    grid.candidates.iter().map(label).collect()
}

/// Where each label stands in the legend, and how many lines that has.
fn legend(labels: &[String]) -> (Vec<(i32, u32)>, u32) {
    let (mut x, mut line) = (10, 0);
    let mut places = Vec::new();
    for label in labels {
        let width = 32 + 8 * i32::try_from(label.len()).expect("a few words");
        if x + width > WIDTH as i32 {
            (x, line) = (10, line + 1);
        }
        places.push((x, line));
        x += width;
    }
    (places, line + 1)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(
    root: &Area<'_>,
    run: &Run,
    grid: &Grid<'_>,
    head: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let relative = grid.candidates.len() > 1;
    let unit = |workload: &str| match grid.best(workload, |_| true) {
        Some(best) if relative => best.ns_per_op,
        _ => 1.0,
    };
    let spread: Vec<(f64, f64)> = (grid.workloads.iter())
        .flat_map(|w| grid.candidates.iter().filter_map(move |c| grid.get(w, c)))
        .map(|row| (row.q1 / unit(&row.workload), row.q3 / unit(&row.workload)))
        .collect();
    let low = spread.iter().fold(f64::INFINITY, |low, s| low.min(s.0)) * 0.9;
    let high = spread.iter().fold(low * 2.0, |high, s| high.max(s.1)) * 1.1;

    let what = if relative { "time by the best of the row" } else { "ns per operation" };
    let title = format!("{}: {what} (median, and the middle half)", grid.name());
    write(root, (10, 8), 20, &title, HPos::Left)?;
    write(root, (10, 34), 11, &caption(run), HPos::Left)?;
    let labels = labels(run, grid);
    for (at, (label, (x, line))) in labels.iter().zip(legend(&labels).0).enumerate() {
        let y = i32::try_from(HEAD - 24 + LEGEND * line)?;
        root.draw(&Circle::new((x + 5, y + 7), 5, colour(grid, at).filled()))?;
        write(root, (x + 15, y), 14, label, HPos::Left)?;
    }

    let rows = grid.workloads.len() as f64;
    let chart = ChartBuilder::on(root)
        .margin_top(head)
        .margin_right(20)
        .margin_left(LABELS)
        .margin_bottom(FOOT)
        .build_cartesian_2d((low..high).log_scale(), rows..0.0)?;
    // Every other row is shaded, so that it is plain whose dots are whose.
    for at in (0..grid.workloads.len()).step_by(2) {
        let corners = [(low, at as f64), (high, at as f64 + 1.0)].map(|c| chart.backend_coord(&c));
        root.draw(&Rectangle::new(corners, RGBColor(244, 244, 244).filled()))?;
    }
    for tick in ticks(low, high) {
        let (top, bottom) = (chart.backend_coord(&(tick, 0.0)), chart.backend_coord(&(tick, rows)));
        root.draw(&PathElement::new([top, bottom], RGBColor(205, 205, 205)))?;
        write(root, (bottom.0, bottom.1 + 6), 12, &tick.to_string(), HPos::Center)?;
    }
    for (at, workload) in grid.workloads.iter().enumerate() {
        let middle = at as f64 + 0.5;
        let (left, y) = chart.backend_coord(&(low, middle));
        write(root, (left - 8, y - 7), 13, workload, HPos::Right)?;
        // Ours comes first and is drawn last, so that nothing hides it.
        for (nth, candidate) in grid.candidates.iter().enumerate().rev() {
            if let Some(row) = grid.get(workload, candidate) {
                let shift = (nth as f64 + 0.5) / grid.candidates.len() as f64 - 0.5;
                let y = middle + shift * 0.7;
                dot(root, row, unit(workload), colour(grid, nth), &|x| {
                    chart.backend_coord(&(x, y))
                })?;
            }
        }
    }
    Ok(())
}

/// 1, 2, 5, 10, 20, 50 .. and their likes below 1, as far as they lie inside.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    (-3..=9)
        .flat_map(|power: i8| [1, 2, 5].map(|n| format!("{n}e{power}")))
        .map(|text| text.parse().expect("a number as Rust writes it"))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

fn dot(
    root: &Area<'_>,
    row: &Row,
    unit: f64,
    colour: RGBColor,
    place: &dyn Fn(f64) -> (i32, i32),
) -> Result<(), Box<dyn std::error::Error>> {
    let (low, high) = (place(row.q1 / unit), place(row.q3 / unit));
    root.draw(&PathElement::new([low, high], colour.stroke_width(2)))?;
    root.draw(&Circle::new(place(row.ns_per_op / unit), 4, colour.filled()))?;
    Ok(())
}

fn colour(grid: &Grid<'_>, at: usize) -> RGBColor {
    if grid.candidates[at] == OURS { RED } else { OTHERS[at % OTHERS.len()] }
}

fn caption(run: &Run) -> String {
    let machine = &run.machine;
    format!(
        "{}{}, {} CPUs, Linux {}; {}; commit {}; {}",
        if run.quick { "QUICK RUN, mostly noise: " } else { "" },
        machine.cpu,
        machine.allowed_cpus.len(),
        machine.kernel,
        machine.rustc,
        machine.commit,
        machine.date
    )
}

fn write(
    root: &Area<'_>,
    at: (i32, i32),
    size: i32,
    text: &str,
    side: HPos,
) -> Result<(), Box<dyn std::error::Error>> {
    let style = ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Top));
    root.draw(&Text::new(text.to_string(), at, style))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::run;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.4, 11.0), [0.5, 1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn a_picture_names_every_workload_and_candidate() {
        let file = std::env::temp_dir().join(format!("aqueduct-bench-{}.svg", std::process::id()));
        let mut run = run();
        run.machine.peers.insert("slow".into(), "1.2.3".into());
        family(&run, &Grid::of(&run, "queue", false), &file).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        for name in ["u64/cap64/pair", "u64/cap64/4p4c", "aqueduct", "slow 1.2.3", "fast"] {
            assert!(svg.contains(name), "{name}");
        }
        std::fs::remove_file(file).unwrap();
    }
}
