"""Features of clips by an encoder, and the nearest neighbours in them.

    python examples/features_and_knn.py --run RUN --data STORE

Without --run the encoder is untrained, without --data the store is one of the built-in actors.
"""

import argparse
from pathlib import Path

import kinelex
from kinelex.datasets import get_split
from kinelex.datasets.synthetic import write_actors
from kinelex.inference.features import extract_features
from kinelex.inference.neighbours import knn
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.transforms import InputConfig, InputPipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run directory of `kinelex train`")
    parser.add_argument("--data", type=Path, default=Path("actors.arrow"), help="a store; made when missing")
    parser.add_argument("--protocol", default="xsub")
    parser.add_argument("--clips", type=int, default=480, help="clips of the built-in actors")
    options = parser.parse_args()

    if not options.data.exists():
        write_actors(options.data, clips=options.clips)
    store = kinelex.open_store(options.data)
    split = get_split(store, options.protocol)

    if options.run is None:
        body = kinelex.encoders.create("stgcn", layout=store.layout, channels=8)
        encoder = SkeletonEncoder(body, InputPipeline(store.layout, InputConfig(frames=24, align="torso")))
    else:
        encoder = kinelex.load_encoder(options.run)

    train = extract_features(encoder, store, split.train)
    test = extract_features(encoder, store, split.test)
    labels = store.labels[split.train]
    found = knn(train, labels, test, len(store.class_names), k=3)

    right = found.scores.argmax(axis=1) == store.labels[split.test]
    print(f"{len(train)} train and {len(test)} test clips, {encoder.num_features} features each")
    print(f"top-1 of the nearest neighbours: {100 * right.mean():.1f} %")
    for row, near in zip(split.test[:5], found.indices[:5], strict=True):
        names = [store.class_names[labels[n]] for n in near]
        print(f"{store.ids[row]}  {store.class_names[store.labels[row]]:22} {', '.join(names)}")


if __name__ == "__main__":
    main()
