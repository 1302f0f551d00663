//! The BPF object that was embedded when this program was built; loading it is not done here.

/// The object, aligned to 8 bytes as an ELF parser wants it; none when the program was built without a BPF toolchain,
/// see `cargo xtask build-ebpf`.
pub fn object() -> Option<&'static [u8]> {
    #[cfg(bpf_object)]
    let object = Some(aya::include_bytes_aligned!(env!(
        "CASLB_EMBEDDED_BPF_OBJECT"
    )));
    #[cfg(not(bpf_object))]
    let object = None;
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedded_object_is_an_aligned_elf_file() {
        if let Some(object) = object() {
            assert_eq!(object.as_ptr().align_offset(8), 0);
            assert_eq!(object.get(..4), Some(b"\x7fELF".as_slice()));
        }
    }

    #[test]
    #[ignore = "needs root and the BPF object: cargo xtask test"]
    fn the_object_is_embedded() {
        assert!(object().is_some());
    }
}
