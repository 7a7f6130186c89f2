//! One line of numbers for bench/readers/readers.py: bench FILE [JSON]
#![allow(clippy::cast_precision_loss)] // counts, for averages

use std::hint::black_box;
use std::time::Instant;

use flatpoint::{Kind, MetadataFile};

/// Median seconds of `runs` runs.
fn median(runs: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

fn main() -> Result<(), flatpoint::Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let file = MetadataFile::open(&arguments[1])?;
    let metadata = file.metadata();
    let names: Vec<Vec<u8>> = (0..metadata.len()).map(|i| metadata.entry(i).map(|e| e.fqn().to_vec())).collect::<Result<_, _>>()?;
    let open = median(51, || {
        let file = MetadataFile::open(&arguments[1]).unwrap();
        black_box(file.metadata().find(&names[0]).unwrap());
    });
    let find = median(11, || {
        for name in &names {
            black_box(metadata.find(name).unwrap());
        }
    });
    let tensors: Vec<_> = (0..metadata.len())
        .filter_map(|i| match metadata.entry(i).unwrap().kind() {
            Ok(Kind::Tensor(tensor)) => Some(tensor),
            _ => None,
        })
        .collect();
    let boxes: Vec<_> = tensors.iter().map(|t| (t.size().iter().map(|n| n / 2).collect::<Vec<_>>(), vec![1; t.ndim()])).collect();
    let overlap = median(11, || {
        for (tensor, (offsets, sizes)) in tensors.iter().zip(&boxes) {
            black_box(tensor.overlapping(offsets, sizes));
        }
    });
    let json = arguments.get(2).map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        median(3, || {
            black_box(serde_json::from_str::<serde_json::Value>(&text).unwrap());
        })
    });
    let count = names.len() as f64;
    println!("{} {} {} {}", open * 1e6, find / count * 1e9, overlap / tensors.len() as f64 * 1e6, json.map_or(0.0, |s| s * 1e3));
    Ok(())
}
