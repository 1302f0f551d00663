//! Names of services and servers, for people who read the maps and for the next controller.

/// Array and name of a server or service, for people who read the maps; the program never looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Label {
    array: [u8; 64],
    name: [u8; 256],
}

impl Label {
    /// Bytes of a label.
    pub const SIZE: usize = 320;

    /// Cuts names that are too long; validated ones (63 and 253 bytes) never are.
    pub fn new(array: &str, name: &str) -> Self {
        let mut label = Self { array: [0; 64], name: [0; 256] };
        for (to, from) in label.array[..63].iter_mut().zip(array.bytes()) {
            *to = from;
        }
        for (to, from) in label.name[..255].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        label
    }

    /// From what the map holds.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut label = Self { array: [0; 64], name: [0; 256] };
        label.array.copy_from_slice(&bytes[..64]);
        label.name.copy_from_slice(&bytes[64..]);
        label
    }

    /// As the map holds it.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..64].copy_from_slice(&self.array);
        bytes[64..].copy_from_slice(&self.name);
        bytes
    }

    /// The array's name; `None` when the map holds something that isn't text.
    pub fn array(&self) -> Option<&str> {
        text(&self.array)
    }

    /// The server's or service's name; `None` when the map holds something that isn't text.
    pub fn name(&self) -> Option<&str> {
        text(&self.name)
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    core::str::from_utf8(&bytes[..end]).ok()
}
