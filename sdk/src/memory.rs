//! The allocator of a component without WASI: made for a sandbox that lives for one call.
//!
//! A freed block waits for the next one of its size; nothing is joined and nothing is given back, for soon all of it is
//! thrown away at once. It begins in what the initial memory has left above stack and data, so that most calls need
//! no other page: to grow costs a fresh sandbox more than all of its allocations together. A component over WASI keeps
//! the allocator of its C library, which wants the same place.

#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::ptr::null_mut;

use crate::blocks::{ALIGN, CLASSES, block};

const PAGE: usize = 64 * 1024;

#[global_allocator]
static MEMORY: Memory =
    Memory { next: Cell::new(0), end: Cell::new(0), free: [const { Cell::new(null_mut()) }; CLASSES] };

struct Memory {
    /// Where the part begins that no block has had yet; 0 before the first allocation.
    next: Cell<usize>,
    /// Where memory ends.
    end: Cell<usize>,
    /// For each size the freed block that is taken next; each holds the address of the one after it.
    free: [Cell<*mut u8>; CLASSES],
}

// SAFETY: a component has one thread.
unsafe impl Sync for Memory {}

unsafe extern "C" {
    /// The linker's: its address is where stack and data end.
    static __heap_base: u8;
}

impl Memory {
    /// Puts the end of the used part to `to`, growing memory where that is needed.
    fn reach(&self, to: usize) -> bool {
        if to > self.end.get() {
            let pages = (to - self.end.get()).div_ceil(PAGE);
            if memory_grow::<0>(pages) == usize::MAX {
                return false;
            }
            self.end.set(memory_size::<0>().saturating_mul(PAGE));
        }
        self.next.set(to);
        true
    }

    #[cold]
    fn begin(&self) {
        self.next.set((&raw const __heap_base).addr().next_multiple_of(ALIGN));
        self.end.set(memory_size::<0>().saturating_mul(PAGE));
    }
}

// SAFETY: a block is in use, or in one list, or above `next`; sizes of blocks are multiples of ALIGN.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, size)) = block(layout.size()) else { return null_mut() };
        let free = self.free[class].get();
        if !free.is_null() && layout.align() <= ALIGN {
            // SAFETY: a freed block begins with the address of the next one.
            self.free[class].set(unsafe { free.cast::<*mut u8>().read() });
            return free;
        }
        if self.next.get() == 0 {
            self.begin();
        }
        let Some(at) = self.next.get().checked_next_multiple_of(layout.align().max(ALIGN)) else {
            return null_mut();
        };
        match at.checked_add(size).is_some_and(|to| self.reach(to)) {
            true => core::ptr::with_exposed_provenance_mut(at),
            false => null_mut(),
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some((class, size)) = block(layout.size()) else { return };
        if pointer.addr() + size == self.next.get() {
            return self.next.set(pointer.addr());
        }
        // SAFETY: it is nobody's now, and has room for an address.
        unsafe { pointer.cast::<*mut u8>().write(self.free[class].get()) };
        self.free[class].set(pointer);
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, wanted: usize) -> *mut u8 {
        let (Some((class, size)), Some((new_class, new_size))) = (block(layout.size()), block(wanted)) else {
            return null_mut();
        };
        if class == new_class {
            return pointer;
        }
        // The last block grows and shrinks where it stands, as most texts and lists do while they are written.
        if pointer.addr() + size == self.next.get()
            && pointer.addr().checked_add(new_size).is_some_and(|to| self.reach(to))
        {
            return pointer;
        }
        // SAFETY: as for any allocator: the size is not zero, and the blocks do not overlap.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(wanted, layout.align()));
            if !new.is_null() {
                core::ptr::copy_nonoverlapping(pointer, new, layout.size().min(wanted));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}
