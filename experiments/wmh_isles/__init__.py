"""The boundary loss as published (Kervadec, MIDL 2019): WMH, ISLES, two MS patients, phantoms in WMH's layout."""
