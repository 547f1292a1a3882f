"""`tf.train.Example` by the protobuf library itself: what the trainer's own reader is held against."""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _example_class():
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def add(name, *fields):
        message = file.message_type.add(name=name)
        for number, (label, kind, of, called) in enumerate(fields, 1):
            message.field.add(name=called, number=number, label=label, type=kind, type_name=of)
        return message

    add("BytesList", (field.LABEL_REPEATED, field.TYPE_BYTES, None, "value"))
    add("FloatList", (field.LABEL_REPEATED, field.TYPE_FLOAT, None, "value"))
    add("Int64List", (field.LABEL_REPEATED, field.TYPE_INT64, None, "value"))
    feature = add(
        "Feature",
        *[
            (field.LABEL_OPTIONAL, field.TYPE_MESSAGE, f".tensorflow.{kind}", name)
            for kind, name in (("BytesList", "bytes_list"), ("FloatList", "float_list"), ("Int64List", "int64_list"))
        ],
    )
    feature.oneof_decl.add(name="kind")
    for one in feature.field:
        one.oneof_index = 0
    features = add("Features", (field.LABEL_REPEATED, field.TYPE_MESSAGE, ".tensorflow.Features.FeatureEntry", "feature"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".tensorflow.Feature")
    add("Example", (field.LABEL_OPTIONAL, field.TYPE_MESSAGE, ".tensorflow.Features", "features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


EXAMPLE = _example_class()


def encode(features):
    """The bytes of an Example of these lists; the type of a list's first value says which kind it is."""
    example = EXAMPLE()
    for name, values in features.items():
        kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}[type(values[0])]
        getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()
