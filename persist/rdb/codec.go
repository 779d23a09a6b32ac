package rdb

import (
	"kvd/types"
	"kvd/types/stream"
)

// Codec says how the values of a type are written and read. A type has one line
// in the table below.
type Codec struct {
	// Forms are the type bytes that are read, Redis's RDB_TYPE numbers.
	Forms []byte
	// Form is the type byte under which a value is written.
	Form func(e *Encoder, enc types.Encoding, packed []byte, obj types.Object) byte
	// Encode appends the body of a value in that form.
	Encode func(e *Encoder, dst []byte, enc types.Encoding, packed []byte, obj types.Object) []byte
	// Decode reads a body, checks it, and fails the Reader where it is wrong.
	Decode func(r *Reader, form byte, limits *Limits) Value
	// Skip takes as much as Decode would, and looks at nothing but lengths.
	Skip func(r *Reader, form byte)
}

// Codecs is the table by types.Type. It does not change once anything is read.
var Codecs = [16]Codec{
	types.TString: {[]byte{TypeString}, one(TypeString), (*Encoder).str, decodeString, skipForm},
	types.TList:   {[]byte{TypeList, TypeListZiplist, TypeQuicklist, TypeQuicklist2}, one(TypeQuicklist2), (*Encoder).listBody, decodeList, skipForm},
	types.TSet:    {[]byte{TypeSet, TypeSetListpack, TypeSetIntset}, setForm, (*Encoder).setBody, decodeSet, skipForm},
	types.TZSet:   {[]byte{TypeZSet, TypeZSet2, TypeZSetZiplist, TypeZSetListpack}, zsetForm, (*Encoder).zsetBody, decodeZSet, skipForm},
	types.THash: {[]byte{TypeHash, TypeHashZipmap, TypeHashZiplist, TypeHashListpack, TypeHashTTLPre, TypeListpackTTLPre, TypeHashTTL, TypeListpackTTL, TypeValkeyHash},
		hashForm, (*Encoder).hashBody, decodeHash, skipForm},
	types.TStream: {[]byte{TypeStream, TypeStream2, TypeStream3, TypeStreamKvd}, streamForm, encodeStream, decodeStream, (*Reader).skipStream},
	types.TArray:  {[]byte{TypeArrayKvd}, one(TypeArrayKvd), encodeArray, decodeArray, skipArray},
}

// formTypes are the types by their forms.
var formTypes = typesByForm(&Codecs)

func typesByForm(codecs *[16]Codec) (of [256]types.Type) {
	for t := range codecs {
		for _, form := range codecs[t].Forms {
			of[form] = types.Type(t)
		}
	}
	return of
}

func codecOf(t types.Type) *Codec {
	c := &Codecs[t]
	if c.Form == nil {
		panic("rdb: no such type of value: " + t.String())
	}
	return c
}

// one is Codec.Form of a type that is always written in one form.
func one(form byte) func(*Encoder, types.Encoding, []byte, types.Object) byte {
	return func(*Encoder, types.Encoding, []byte, types.Object) byte { return form }
}

func setForm(_ *Encoder, enc types.Encoding, _ []byte, _ types.Object) byte {
	if enc == types.EncIntset {
		return TypeSetIntset
	}
	return TypeSet
}

func zsetForm(_ *Encoder, enc types.Encoding, _ []byte, _ types.Object) byte {
	if enc == types.EncListpack {
		return TypeZSetListpack
	}
	return TypeZSet2
}

func hashForm(e *Encoder, enc types.Encoding, packed []byte, obj types.Object) byte {
	if enc == types.EncListpack {
		return TypeHashListpack
	}
	e.hash.Load(enc, packed, obj)
	ttl := e.hash.NextDeadline() != 0 && e.NoFieldDeadlines == 0
	switch {
	case enc == types.EncListpackEx && ttl:
		return TypeListpackTTL
	case enc == types.EncListpackEx:
		return TypeHashListpack
	case ttl:
		return TypeHashTTL
	}
	return TypeHash
}

func streamForm(e *Encoder, _ types.Encoding, _ []byte, obj types.Object) byte {
	return e.streamType(obj.(*stream.Stream))
}

func encodeStream(e *Encoder, dst []byte, _ types.Encoding, _ []byte, obj types.Object) []byte {
	return e.streamBody(dst, obj.(*stream.Stream))
}
