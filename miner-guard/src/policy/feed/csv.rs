//! Rows under a header that names the columns.

use super::Found;
use crate::policy::{
    compile::Ports,
    indicator::{self, Indicator, What},
};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    /// An address, CIDR or name: whatever it is.
    Any,
    Port,
    Other,
}

fn column(name: &[u8]) -> Column {
    let name = name.to_ascii_lowercase();
    match name.as_slice() {
        b"ip" | b"ip_address" | b"ipaddress" | b"address" | b"dst_ip" | b"destination.ip" | b"cidr"
        | b"network" | b"domain" | b"hostname" | b"host" | b"fqdn" | b"name" | b"ioc" | b"indicator"
        | b"value" | b"url" => Column::Any,
        b"port" | b"ports" | b"dst_port" | b"destination.port" => Column::Port,
        _ => Column::Other,
    }
}

/// The separator of a header row that names a column we know, `None` if it is no header.
fn separator(header: &[u8]) -> Option<u8> {
    b",;\t"
        .iter()
        .copied()
        .find(|s| header.contains(s) && fields(header, *s).any(|f| column(f) != Column::Other))
}

fn header(text: &[u8]) -> &[u8] {
    let first = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    first.into_iter().find(|l| !l.is_empty() && !l.starts_with(b"#")).unwrap_or_default()
}

/// Whether the first row is a header.
pub(super) fn looks_like(text: &[u8]) -> bool {
    separator(header(text)).is_some()
}

/// The fields of a row, quotes taken off. A quote inside a quoted field stays as it is written: no indicator holds one.
fn fields(row: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let now = rest?;
        let mut quoted = false;
        let end = now.iter().position(|b| {
            quoted ^= *b == b'"';
            *b == separator && !quoted
        });
        let field = match end {
            Some(end) => {
                rest = Some(&now[end + 1..]);
                &now[..end]
            }
            None => rest.take()?,
        };
        let field = field.trim_ascii();
        Some(field.strip_prefix(b"\"").and_then(|f| f.strip_suffix(b"\"")).unwrap_or(field).trim_ascii())
    })
}

pub(super) fn read(text: &[u8], each: &mut impl FnMut(Found<'_>)) {
    let head = header(text);
    // A single column has no separator; any will do.
    let separator = separator(head).unwrap_or(b',');
    let columns: Vec<Column> = fields(head, separator).map(column).collect();
    let mut begun = false;
    for (line, number) in text.split(|b| *b == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if !std::mem::replace(&mut begun, true) {
            if columns.iter().all(|c| *c == Column::Other) {
                each((number, Err("a header without a column `ip`, `domain`, `indicator` or `port`"), line));
                return;
            }
            continue;
        }
        row(line, number, &columns, separator, each);
    }
}

fn row(line: &[u8], number: usize, columns: &[Column], separator: u8, each: &mut impl FnMut(Found<'_>)) {
    let of = |kind| {
        fields(line, separator)
            .zip(columns)
            .filter(move |(f, c)| **c == kind && !f.is_empty())
            .map(|(f, _)| f)
    };
    // Several ports in one field, however they are separated.
    let ports: Result<Vec<Ports>, _> = of(Column::Port)
        .flat_map(|f| f.split(|b| b",; |/".contains(b)))
        .filter(|p| !p.is_empty())
        .map(|p| indicator::ports(p).ok_or("a row with a bad port"))
        .collect();
    let ports = match ports {
        Ok(ports) => ports,
        Err(why) => return each((number, Err(why), line)),
    };
    let mut any = false;
    for field in of(Column::Any) {
        any = true;
        match indicator::parse(field) {
            Ok(i @ Indicator { what: What::V4(..) | What::V6(..), ports: Ports::ANY })
                if !ports.is_empty() =>
            {
                ports.iter().for_each(|p| each((number, Ok(Indicator { ports: *p, ..i }), line)));
            }
            found => each((number, found, line)),
        }
    }
    if !any {
        if ports.is_empty() {
            return each((number, Err("a row without an indicator"), line));
        }
        ports.iter().for_each(|p| each((number, Ok(Indicator { what: What::Port, ports: *p }), line)));
    }
}
