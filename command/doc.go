// Package command is the engine that commands run on: the table of commands (one
// declarative row each), the dispatcher, transactions, blocking, and Ctx, which is what a
// command's function sees of the server. The commands themselves are in families, the
// packages below this one, which import it and nothing of each other; package families
// lists them. Commands that cannot be told from the engine (MULTI, CLIENT, INFO and
// others) are in files of this package.
//
// A command function parses every argument, looks up, checks types, and only
// then changes something: a command that fails has changed nothing. It never
// takes a lock (the dispatcher has locked the stripes of the keys that the row
// declares), never touches a socket or a file, and takes the time from
// Ctx.Now. It replies through Ctx.W. What it changed is journaled as its
// effect: by default the command itself as it came; where that would not lead
// to the same contents when replayed (relative times, random choices), the
// function says what did happen with Ctx.Effect.
//
// What Ctx offers, by what it is for:
//
//   - arguments: Int, IntMin, Float, Word, Timeout; Err, WrongArity
//   - keys: Lookup, LookupNoTouch and LookupType (counted), Find and Peek (not counted), Load;
//     Open, Store and Unchanged; Replace; ReadList, ReadSet, ReadZSet, StringOf, PutString
//   - what happened: Dirty, Effect, EffectIn, NoEffect, Journaling, Notify, Ready
//   - waiting and long work: CanBlock, Block, Background, Aside, After
//   - memory to work with: Values, Scratch
package command
