//! The boxes of a file with still pictures (ISO/IEC 14496-12 and 23008-12). All that is read lies in memory.

use std::collections::BTreeMap;

use crate::Rect;

/// Items that a file may name: pictures, their parts, metadata.
const MAX_ITEMS: usize = 4096;
/// Parts of the data of one item.
const MAX_EXTENTS: usize = 1024;

/// Reads numbers from the front.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `length` bytes, at most 8; none of them make 0.
    fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        (length <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// At most 32 bits.
    fn small(&mut self, length: usize) -> Option<u32> {
        u32::try_from(self.number(length)?).ok()
    }

    /// Version and flags of a full box.
    fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.small(4)?;
        Some(((word >> 24) as u8, word & 0x00FF_FFFF))
    }

    /// The next box: its type and its content.
    fn next_box(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let size = self.number(4)?;
        let kind = *self.take(4)?.first_chunk()?;
        let length = match size {
            // To the end.
            0 => self.0.len(),
            1 => usize::try_from(self.number(8)?.checked_sub(16)?).ok()?,
            _ => usize::try_from(size.checked_sub(8)?).ok()?,
        };
        // A last box that was cut off has what there is.
        Some((kind, self.take(length.min(self.0.len()))?))
    }

    /// The content of the first box of a type.
    fn find(mut self, kind: &[u8; 4]) -> Option<&'a [u8]> {
        loop {
            let (found, content) = self.next_box()?;
            if found == *kind {
                return Some(content);
            }
        }
    }
}

/// A picture, a part of one, or metadata.
pub(super) struct Item<'a> {
    pub id: u32,
    pub kind: [u8; 4],
    properties: Vec<([u8; 4], &'a [u8])>,
    in_file: bool,
    extents: Vec<(u64, u64)>,
}

/// Where an item points to.
struct Reference {
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

/// All items of a file.
pub(super) struct Items<'a> {
    file: &'a [u8],
    /// Data inside of the description.
    inner: &'a [u8],
    primary: u32,
    items: BTreeMap<u32, Item<'a>>,
    references: Vec<Reference>,
}

/// Colours as a `colr` box numbers them.
#[derive(Clone, Copy)]
pub(super) struct Nclx {
    pub primaries: u16,
    pub transfer: u16,
    pub matrix: u16,
    pub is_full_range: bool,
}

/// What a picture says of its colours.
#[derive(Default)]
pub(super) struct Colour<'a> {
    pub nclx: Option<Nclx>,
    pub profile: Option<&'a [u8]>,
}

/// How parts make a picture.
pub(super) struct Grid {
    pub rows: usize,
    pub columns: usize,
    pub width: u32,
    pub height: u32,
}

impl<'a> Items<'a> {
    /// `None` for a file that breaks the rules, or has no description of items.
    pub(super) fn of(file: &'a [u8]) -> Option<Self> {
        let mut meta = Bytes(Bytes(file).find(b"meta")?);
        meta.version()?;
        let primary = meta.find(b"pitm").and_then(|content| {
            let mut content = Bytes(content);
            let (version, _) = content.version()?;
            content.small(if version == 0 { 2 } else { 4 })
        });
        let mut items = infos(meta.find(b"iinf")?)?;
        locate(meta.find(b"iloc")?, &mut items)?;
        if let Some(properties) = meta.find(b"iprp") {
            describe(Bytes(properties), &mut items)?;
        }
        let references = meta.find(b"iref").map_or(Some(Vec::new()), references)?;
        let inner = meta.find(b"idat").unwrap_or_default();
        Some(Self { file, inner, primary: primary.unwrap_or(0), items, references })
    }

    pub(super) fn primary(&self) -> Option<&Item<'a>> {
        self.items.get(&self.primary)
    }

    /// The bytes of an item, put together.
    pub(super) fn data(&self, item: &Item<'_>) -> Option<Vec<u8>> {
        let source = if item.in_file { self.file } else { self.inner };
        let mut data = Vec::new();
        for (offset, length) in &item.extents {
            let start = usize::try_from(*offset).ok()?;
            let rest = source.get(start..)?;
            // No length: all that follows.
            let length = if *length == 0 { rest.len() } else { usize::try_from(*length).ok()? };
            // Extents may repeat bytes, but no honest file has more of them than it is long.
            if data.len() + length > self.file.len() {
                return None;
            }
            data.extend_from_slice(rest.get(..length)?);
        }
        Some(data)
    }

    /// The item of one of the kinds of `names` that belongs to `id`.
    pub(super) fn auxiliary(&self, id: u32, names: &[&[u8]]) -> Option<&Item<'a>> {
        let mut belonging = self.references.iter().filter(|one| one.kind == *b"auxl" && one.to.contains(&id));
        belonging.find_map(|one| {
            let item = self.items.get(&one.from)?;
            // Version and flags, then a name that ends with 0.
            let name = item.property(b"auxC")?.get(4..)?.split(|byte| *byte == 0).next()?;
            names.contains(&name).then_some(item)
        })
    }

    /// Whether the colours of `id` were multiplied by its alpha.
    pub(super) fn is_premultiplied(&self, id: u32) -> bool {
        self.references.iter().any(|one| one.kind == *b"prem" && one.from == id)
    }

    /// What `id` is put together from.
    pub(super) fn tiles(&self, id: u32) -> Vec<&Item<'a>> {
        let parts = self.references.iter().filter(|one| one.kind == *b"dimg" && one.from == id);
        parts.flat_map(|one| &one.to).filter_map(|part| self.items.get(part)).collect()
    }

    /// The EXIF block of `id`, without the number in front that says where it begins.
    pub(super) fn exif(&self, id: u32) -> Option<Vec<u8>> {
        let mut about = self.references.iter().filter(|one| one.kind == *b"cdsc" && one.to.contains(&id));
        let item = about.find_map(|one| self.items.get(&one.from).filter(|item| item.kind == *b"Exif"))?;
        let data = self.data(item)?;
        let skipped = usize::try_from(Bytes(&data).small(4)?).ok()?;
        data.get(4..)?.get(skipped..).map(<[u8]>::to_vec)
    }
}

impl<'a> Item<'a> {
    pub(super) fn property(&self, kind: &[u8; 4]) -> Option<&'a [u8]> {
        self.properties.iter().find(|(found, _)| found == kind).map(|(_, content)| *content)
    }

    /// As the file says it.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let mut content = Bytes(self.property(b"ispe")?);
        content.version()?;
        Some((content.small(4)?, content.small(4)?))
    }

    pub(super) fn colour(&self) -> Colour<'a> {
        let mut colour = Colour::default();
        for (_, content) in self.properties.iter().filter(|(kind, _)| kind == b"colr") {
            let mut content = Bytes(content);
            match content.take(4) {
                Some(b"nclx") if colour.nclx.is_none() => colour.nclx = nclx(content),
                Some(b"prof" | b"rICC") if colour.profile.is_none() => colour.profile = Some(content.0),
                _ => {}
            }
        }
        colour
    }

    /// The part of a picture of this size that is shown, where it is not all and lies on whole pixels within it.
    pub(super) fn aperture(&self, width: u32, height: u32) -> Option<Rect> {
        let mut content = Bytes(self.property(b"clap")?);
        let mut numbers = [0_i64; 8];
        for (index, number) in numbers.iter_mut().enumerate() {
            let value = content.small(4)?;
            // The offsets, of which the numerators come fifth and seventh, may be negative.
            *number = if matches!(index, 4 | 6) { i64::from(value.cast_signed()) } else { i64::from(value) };
        }
        let along = |size: u32, [above, below, offset, parts]: [i64; 4]| {
            let length = (below > 0 && above % below == 0).then(|| above / below)?;
            // The centre, doubled: half of the rest and the offset.
            let twice = i64::from(size) - length
                + (parts > 0).then_some(2 * offset).filter(|twice| twice % parts == 0)? / parts;
            let start = u32::try_from(twice / 2).ok().filter(|_| twice % 2 == 0)?;
            let length = u32::try_from(length).ok().filter(|length| *length > 0)?;
            (start.checked_add(length)? <= size).then_some((start, length))
        };
        let [w, wd, h, hd, x, xd, y, yd] = numbers;
        let ((x, width), (y, height)) = (along(width, [w, wd, x, xd])?, along(height, [h, hd, y, yd])?);
        Some(Rect { x, y, width, height })
    }
}

impl Grid {
    pub(super) fn of(data: &[u8]) -> Option<Self> {
        let mut data = Bytes(data);
        let [0, flags] = *data.take(2)? else { return None };
        let [rows, columns] = *data.take(2)? else { return None };
        let length = if flags & 1 == 1 { 4 } else { 2 };
        let (width, height) = (data.small(length)?, data.small(length)?);
        Some(Self { rows: usize::from(rows) + 1, columns: usize::from(columns) + 1, width, height })
    }
}

fn nclx(mut content: Bytes<'_>) -> Option<Nclx> {
    let mut word = || Some(content.small(2)? as u16);
    let (primaries, transfer, matrix) = (word()?, word()?, word()?);
    Some(Nclx { primaries, transfer, matrix, is_full_range: content.small(1)? & 0x80 != 0 })
}

fn infos<'a>(content: &[u8]) -> Option<BTreeMap<u32, Item<'a>>> {
    let mut content = Bytes(content);
    let (version, _) = content.version()?;
    let count = content.small(if version == 0 { 2 } else { 4 })? as usize;
    let mut items = BTreeMap::new();
    for _ in 0..count.min(MAX_ITEMS) {
        let Some((b"infe", info)) = content.next_box().as_ref().map(|(kind, info)| (kind, *info)) else { continue };
        let mut info = Bytes(info);
        let (version, _) = info.version()?;
        if version < 2 {
            continue;
        }
        let id = info.small(if version == 2 { 2 } else { 4 })?;
        info.take(2)?;
        let kind = *info.take(4)?.first_chunk()?;
        items.insert(id, Item { id, kind, properties: Vec::new(), in_file: true, extents: Vec::new() });
    }
    Some(items)
}

fn locate(content: &[u8], items: &mut BTreeMap<u32, Item<'_>>) -> Option<()> {
    let mut content = Bytes(content);
    let (version, _) = content.version()?;
    let sizes = content.small(2)?;
    let [offset_bytes, length_bytes, base_bytes, index_bytes] =
        [12, 8, 4, 0].map(|shift| (sizes >> shift & 15) as usize);
    let id_bytes = if version < 2 { 2 } else { 4 };
    let count = content.small(id_bytes)? as usize;
    for _ in 0..count.min(MAX_ITEMS) {
        let id = content.small(id_bytes)?;
        let method = if version == 0 { 0 } else { content.small(2)? & 15 };
        // Data in another file.
        content.take(2)?;
        let base = content.number(base_bytes)?;
        let extent_count = content.small(2)? as usize;
        let mut extents = Vec::new();
        for _ in 0..extent_count {
            if version > 0 {
                content.take(index_bytes)?;
            }
            let (offset, length) = (content.number(offset_bytes)?, content.number(length_bytes)?);
            if extents.len() < MAX_EXTENTS {
                extents.push((base.checked_add(offset)?, length));
            }
        }
        if let Some(item) = items.get_mut(&id).filter(|_| method < 2) {
            (item.in_file, item.extents) = (method == 0, extents);
        }
    }
    Some(())
}

fn describe<'a>(content: Bytes<'a>, items: &mut BTreeMap<u32, Item<'a>>) -> Option<()> {
    let mut all = Vec::new();
    let mut container = Bytes(content.find(b"ipco")?);
    while let Some(property) = container.next_box() {
        all.push(property);
    }
    let mut links = Bytes(content.find(b"ipma")?);
    let (version, flags) = links.version()?;
    for _ in 0..links.small(4)? {
        let id = links.small(if version == 0 { 2 } else { 4 })?;
        for _ in 0..links.small(1)? {
            let (link, bits) = if flags & 1 == 1 { (links.small(2)?, 15) } else { (links.small(1)?, 7) };
            // The highest bit says that one has to know it; the numbers begin with 1.
            let index = (link & ((1 << bits) - 1)) as usize;
            if let Some(property) = index.checked_sub(1).and_then(|index| all.get(index))
                && let Some(item) = items.get_mut(&id)
                && item.properties.len() < MAX_ITEMS
            {
                item.properties.push(*property);
            }
        }
    }
    Some(())
}

fn references(content: &[u8]) -> Option<Vec<Reference>> {
    let mut content = Bytes(content);
    let (version, _) = content.version()?;
    let id_bytes = if version == 0 { 2 } else { 4 };
    let mut references = Vec::new();
    while let Some((kind, one)) = content.next_box() {
        let mut one = Bytes(one);
        let from = one.small(id_bytes)?;
        let count = one.small(2)?;
        let to = (0..count).map(|_| one.small(id_bytes)).collect::<Option<Vec<_>>>()?;
        if references.len() < MAX_ITEMS {
            references.push(Reference { kind, from, to });
        }
    }
    Some(references)
}
