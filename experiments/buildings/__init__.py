"""The boundary F1 loss (Bokhovkin and Burnaev, ISNN 2019): synthetic buildings, real tiles, and loss against score."""
