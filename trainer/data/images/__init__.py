"""Turns stored images into the pixels of a batch: decoding, cropping, resizing, augmentation. No JAX: reader processes load this alone.

| file | what it holds |
|---|---|
| `picture` | an image before its pixels are needed: of a file, or in memory |
| `decode` | files as pixels, by the fastest decoder that knows the format |
| `orientation` | which way up a file is |
| `crop` | which part of an image: random for training, centred for evaluation |
| `resample`, `resize` | that part at the size of the network's input |
| `randaugment` | random distortions of an image |
| `mix` | two images of a batch in one: mixup and cutmix |
| `preparation` | all of it in order, for one example |
| `optional` | what needs a package of the extra `images`, loaded when it is used |
| `randomness` | random numbers keyed by example, not by reader |
"""
