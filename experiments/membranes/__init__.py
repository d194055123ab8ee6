"""The boundary-aware loss on electron microscopy (Vu Ngoc et al., BMVC 2021): ISBI 2012 and gala's FIB-SEM."""
