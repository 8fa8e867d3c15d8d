"""The same answers from LitServe, for `benchmarks/serving.py`: `python benchmarks/serving_litserve.py --port PORT`.

It takes forms, and decodes in the process that computes; a batch waits up to 5 ms for more.
"""

import argparse

import litserve
from fastapi import Request


class Api(litserve.LitAPI):
    """A photo of a form to its category."""

    def setup(self, device):
        from featx.prediction.predict import open_predictor

        self.predictor = open_predictor(device="cpu")
        self.encoder = self.predictor.backbone

    def decode_request(self, request: Request):
        from featx.embedding.stream import read_source

        (image,) = read_source(request["photo"].file.read(), name="photo").decode(self.encoder.spec.decode_size)
        return self.encoder.prepare(image)

    def batch(self, inputs):
        return list(inputs)

    def predict(self, batch):
        return self.predictor.answers(self.encoder.features(batch))

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"category": output[0][0][0], "sure": output[0][0][1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    api = Api(max_batch_size=16, batch_timeout=0.005, api_path="/classify")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=parser.parse_args().port, log_level="warning", generate_client_file=False)
