"""Faults of precomputed maps: making, manifest, reading in MONAI and in nnU-Net."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

RUN, DAMAGE, READ, NNUNET = (
    "precompute/test_run.py", "precompute/test_damage.py", "precompute/test_transform.py", "nnunet/test_precomputed.py"
)  # fmt: skip
_S, _M, _R, _C = "map_store/store.py", "map_store/manifest.py", "precompute/run.py", "precompute/case.py"
_P, _F, _T, _N = (
    "precompute/pool.py",
    "precompute/sources.py",
    "transforms/precomputed.py",
    "../nnunet_trainers/precomputed.py",
)

PRECOMPUTE = [
    Mutant("altered map passes", _S, "if file_digest(path) != record.sha256:", "if False:", DAMAGE),
    Mutant("truncated map has the wrong reason", _S, "if size != record.size:", "if False:", DAMAGE),
    Mutant("missing map passes to blosc2", _S, "if not path.is_file():", "if False:", DAMAGE),
    Mutant("labels that changed pass", _S, "if not source.same_as(Path(file)):", "if False:", READ),
    Mutant("other settings pass", _S, "        if differences:", "        if False:", READ),
    Mutant("border of a part is not repeated before it", _S, "before = min(max(low - first, 0), count - (high - low))", "before = 0", READ),
    Mutant("border is zero", _S, 'mode="edge"', 'mode="constant"', READ),
    Mutant("a copy of the labels is taken for another file", _M, "status.st_mtime_ns == self.mtime_ns or file_digest(path) == self.sha256", "status.st_mtime_ns == self.mtime_ns", READ),
    Mutant("the earlier record of a case counts", _M, "record.written >= found[case].written", "record.written <= found[case].written", DAMAGE),
    Mutant("parts with other settings pass", _M, "        if differences:", "        if False:", DAMAGE),
    Mutant("damaged manifest passes through", _M, "except (ValueError, KeyError, TypeError, AttributeError) as error", "except EOFError as error", DAMAGE),
    Mutant("nothing is kept", _R, "if reason is None and store is not None:", "if False:", RUN),
    Mutant("labels that changed are kept", _R, "if not record.source.same_as(labels.path):", "if False:", RUN),
    Mutant("damaged maps are kept", _R, "        store.check_file(case)", "        pass", DAMAGE),
    Mutant("shards overlap", _R, "names[number - 1 :: count]", "names[number - 1 :]", RUN),
    Mutant("shard 0 passes", _R, "if not 1 <= number <= count:", "if not 0 <= number <= count:", DAMAGE),
    Mutant("missing case of a list passes", _R, "if missing or not cases:", "if not cases:", DAMAGE),
    Mutant("all jobs write one part", _R, 'words.append(shard.replace("/", "-of-"))', "pass", RUN),
    Mutant("parts stay after gathering", _R, "            path.unlink(missing_ok=True)", "            pass", RUN),
    Mutant("parts that grew are removed", _R, "if path != part.path and known:", "if path != part.path:", DAMAGE),
    Mutant("parts of living jobs are removed", _C, "> _ABANDONED_S:", "> -1.0:", DAMAGE),
    Mutant("abandoned parts stay", _C, "                    part.unlink()", "                    pass", DAMAGE),
    Mutant("maps of another recipe pass", _S, "if record.recipe != RECIPE:", "if False:", DAMAGE),
    Mutant("first manifests have no recipe", _M, '                "recipe": 1,  # of the first manifests, which do not name it\n', "", DAMAGE),
    Mutant("a reader dies while parts are gathered", _M, "    except FileNotFoundError:  # a run", "    except ZeroDivisionError:  # a run", DAMAGE),
    Mutant("regions of dataset.json ignored", _R, "regions = None if scheme is None else scheme.regions", "regions = None", RUN),
    Mutant("a killed worker passes for bad labels", _P, "isinstance(error, BrokenProcessPool)]", "isinstance(error, EOFError)]", DAMAGE),
    Mutant("the next map is tried on a full disk", _P, "                return\n        return\n", "                pass\n        return\n", DAMAGE),
    Mutant("finished maps are noted at the end alone", _P, "            part.add(job.labels.case, outcome)", "            part.records[job.labels.case] = outcome", DAMAGE),
    Mutant("bad labels end the run", _P, "except (ValueError, TypeError, OSError) as error", "except OSError as error", DAMAGE),
    Mutant("half a file stays", "_files.py", "        part.unlink(missing_ok=True)", "        pass", DAMAGE),
    Mutant("written in place", "_files.py", "        part.write_bytes(content)\n        part.replace(path)", "        path.write_bytes(content)", DAMAGE),
    Mutant("other people's files are removed", "_files.py", "return f\".{name}.{'[0-9a-f]' * 32}.part\"", 'return f".{name.split(chr(46))[0]}*.part"', DAMAGE),
    Mutant("disk quota is no full disk", _C, "(errno.ENOSPC, errno.EDQUOT)", "(errno.ENOSPC,)", DAMAGE),
    Mutant("spacing reversed", _F, "tuple(float(length) for length in lengths)", "tuple(float(length) for length in lengths[::-1])", RUN),
    Mutant("outside the body is no background", _F, "np.where(array == _OUTSIDE, 0, array)", "array", NNUNET),
    Mutant("names lead out of the folder", _F, "if Path(case).name != case or", "if", DAMAGE),
    Mutant("flips forgotten", _T, "if signs[axis] < 0)", "if signs[axis] < -1)", READ),
    Mutant("turns the other way", _T, "block.transpose(0, *(1 + axis for axis in axes))", "block.transpose(0, *(1 + axes.index(axis) for axis in range(len(axes))))", READ),
    Mutant("resampled labels pass", _T, "or np.abs(exact - found).max() > _TOLERANCE", "", READ),
    Mutant("the whole volume is read", _T, "self.store.read(case, start, shape)", "self.store.read(case)", READ),
    Mutant("spacing in the order of the volume", _T, "[spacing[axis] for axis in axes]", "list(spacing)", READ),
    Mutant("map of another crop", _N, "self.maps.read(self.loaded, [int(low) for low in start], shape)", "self.maps.read(self.loaded, [int(low) + 1 for low in start], shape)", NNUNET),
    Mutant("shape of another volume passes", _N, "if stored != tuple(image.shape[1:]):", "if False:", NNUNET),
    Mutant("source not compared in nnU-Net", _N, '        self.maps.check_source(identifier, Path(self.source_folder) / f"{identifier}_seg.b2nd")\n', "", NNUNET),
    Mutant("not rescaled by the zoom", _N, "moved = moved / abs", "moved = moved * 1 if True else moved / abs", NNUNET),
    Mutant("rescaled the wrong way", _N, "moved = moved / abs", "moved = moved * abs", NNUNET),
    Mutant("border of zeros", _N, 'self.of_maps.padding_mode_image = "border"', 'self.of_maps.padding_mode_image = "zeros"', NNUNET),
    Mutant("elastic deformation passes", _N, "spatial.p_elastic_deform > 0 or ", "", NNUNET),
    Mutant("unknown transforms pass", _N, "if isinstance(inner, _EXACT):", "if True:", NNUNET),
    Mutant("no room for the zoom", _N, "stored < needed * zoom", "stored < needed", NNUNET),
    Mutant("other spacing passes", _N, "if found != {spacing}:", "if False:", NNUNET),
    Mutant("stored maps not finished", _N, "        finish_distances(maps.numpy(), masks, self.spacing, self.options, valid)\n", "", NNUNET),
    Mutant("finished without the clip", "kernels/_signed.py", "    _limit(maps, options.clip)\n", "", NNUNET),
    Mutant("ignored voxels keep their stored value", "kernels/_signed.py", "        maps[:, ~valid] = 0.0\n", "        pass\n", NNUNET),
]  # fmt: skip
