"""The job of configs/iris.yaml in scikit-learn: read, standardize, split, train 50 epochs, print the test accuracy."""

import csv
import sys
import warnings

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

EPOCHS, BATCH, RATE = 50, 16, 1e-2

with open(sys.argv[1], newline="") as file:  # noqa: PTH123 - as such a script is written
    rows = list(csv.reader(file))[1:]
inputs = np.array([[float(cell) for cell in row[:-1]] for row in rows])
labels = np.array([row[-1] for row in rows])

rest, x_test, rest_labels, y_test = train_test_split(inputs, labels, test_size=0.15, stratify=labels, random_state=0)
x_train, _, y_train, _ = train_test_split(
    rest, rest_labels, test_size=0.15 / 0.85, stratify=rest_labels, random_state=0
)
scaler = StandardScaler().fit(x_train)
model = MLPClassifier(
    (16,),
    batch_size=BATCH,
    learning_rate_init=RATE,
    max_iter=EPOCHS,
    n_iter_no_change=EPOCHS,
    alpha=0.0,
    random_state=0,
)
warnings.simplefilter("ignore")  # it has not converged after 50 epochs, which were asked for
model.fit(scaler.transform(x_train), y_train)
print(f"test accuracy {model.score(scaler.transform(x_test), y_test):.3f}")
