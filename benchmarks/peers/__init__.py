"""What cifar-lab is measured against, written as people write it. Nothing of cifar_lab is imported here."""
