//! `catchup`: one reader that takes a whole topic as NDJSON, beside nginx with the same bytes as a file.

use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use anyhow::ensure;

use crate::Bench;
use crate::client::download;
use crate::data;
use crate::process::Server;
use crate::produce::PROBE;
use crate::produce::ROUNDS;
use crate::produce::create_topic;
use crate::produce::fill;
use crate::report::Aim;
use crate::report::median;

const MEBIBYTES: u64 = 512;

/// Reads once to warm the caches, which also gives the file that the others serve, then in turns.
pub(crate) async fn catchup(bench: &mut Bench) -> Result<()> {
    for partitions in [1, 4] {
        let data = format!("catchup-{partitions}");
        let gateway = bench.gateway(&data).await?;
        let path = bench.folder().join("dump.ndjson");
        let mut first = None;
        if let Some(server) = &gateway {
            create_topic(server, "dump", partitions).await?;
            let records = fill(server, "dump", MEBIBYTES).await?;
            first = Some(read(server, "/v1/topics/dump/records").await?.1);
            dump(server, &path, records).await?;
        } else {
            std::fs::write(&path, data::ndjson((MEBIBYTES << 20) as usize))?;
        }
        let nginx = Server::nginx(bench.folder()).await?;
        let bare = Server::reference(bench.folder(), &["file", path.to_str().unwrap_or_default()]).await?;
        let bytes = std::fs::metadata(&path)?.len();
        let (mut of_gateway, mut of_nginx, mut of_bare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bench.measure_conditions(PROBE)?;
            let sides = [
                (gateway.as_ref(), "/v1/topics/dump/records", &mut of_gateway),
                (nginx.as_ref(), "/dump.ndjson", &mut of_nginx),
                (Some(&bare), "/dump.ndjson", &mut of_bare),
            ];
            for (server, path, rates) in sides {
                if let Some(server) = server {
                    let (received, rate) = read(server, path).await?;
                    ensure!(received == bytes, "{path} gave {received} bytes, not {bytes}");
                    rates.push(rate);
                }
            }
        }
        let value = median(of_gateway);
        let name = |beside| format!("catch-up, partitions: {partitions}, {beside}");
        if nginx.is_none() {
            println!("nginx not installed: no limit");
        }
        bench.row(&name("beside nginx"), "MB/s", value, median(of_nginx), Aim::RatioFrom(0.6));
        bench.row(&name("beside bare axum"), "MB/s", value, median(of_bare), Aim::None);
        bench.row(&name("first read"), "MB/s", first, None, Aim::None);
        std::fs::remove_file(&path)?;
        drop(gateway);
        bench.forget(&data);
        if bench.limits_only() {
            break; // The limits do not know partitions.
        }
    }
    Ok(())
}

/// Bytes read and MB/s.
async fn read(server: &Server, path: &str) -> Result<(u64, f64)> {
    let (bytes, seconds) = download(server.address, &data::get(path, "application/x-ndjson"), |_| {}).await?;
    Ok((bytes, bytes as f64 / 1e6 / seconds))
}

/// Writes the topic to a file; it must be as many lines as there are records.
async fn dump(server: &Server, path: &Path, records: u64) -> Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let (mut lines, mut failure) = (0, None);
    let request = data::get("/v1/topics/dump/records", "application/x-ndjson");
    download(server.address, &request, |piece| {
        lines += memchr::memchr_iter(b'\n', piece).count() as u64;
        failure = file.write_all(piece).err().or(failure.take());
    })
    .await?;
    failure.map_or(Ok(()), Err)?;
    file.flush()?;
    ensure!(lines == records, "{records} records were written, but {lines} lines read");
    Ok(())
}
