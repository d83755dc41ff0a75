"""Operations platform for WeChat mini-program subscription messages."""

__version__ = "0.1.0"
