// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {SafeCall} from "../universal/SafeCall.sol";

/// @title WETH
/// @notice Wrapped ether with the calls and events of WETH9. Name and symbol are code, not storage, so that the
///         contract needs no constructor.
contract WETH is ERC20("", "") {
    /// @dev The recipient refused the ETH.
    error TransferFailed(address to, uint256 amount);

    event Deposit(address indexed dst, uint256 wad);
    event Withdrawal(address indexed src, uint256 wad);

    receive() external payable {
        deposit();
    }

    fallback() external payable {
        deposit();
    }

    function withdraw(uint256 wad) external {
        _burn(msg.sender, wad);
        emit Withdrawal(msg.sender, wad);
        if (!SafeCall.callWithGas(msg.sender, gasleft(), wad, "")) revert TransferFailed(msg.sender, wad);
    }

    function deposit() public payable {
        _mint(msg.sender, msg.value);
        emit Deposit(msg.sender, msg.value);
    }

    function name() public pure override returns (string memory) {
        return "Wrapped Ether";
    }

    function symbol() public pure override returns (string memory) {
        return "WETH";
    }
}
